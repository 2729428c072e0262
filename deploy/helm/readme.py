"""Writes the table of values in the chart's README: `python deploy/helm/readme.py`.

The table has a row for each comment in values.yaml that begins with `# --`, as in helm-docs: the
value below it, its default, and the comment. A test checks that the README is up to date.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

CHART = Path(__file__).with_name("dsiem-shards")
README, VALUES = CHART / "README.md", CHART / "values.yaml"
_BEGIN, _END = "<!-- values: python deploy/helm/readme.py -->\n", "<!-- end of values -->\n"


class Value(NamedTuple):
    """A value that users may set; `path`: its keys with dots between."""

    path: str
    default: object
    text: str


def read_values() -> Iterator[Value]:
    """All values in their order; `text` is empty where the comment is missing."""
    text = VALUES.read_text("utf-8")
    yield from _values_below(yaml.compose(text, yaml.SafeLoader), text.splitlines(), ())


def _values_below(
    node: yaml.Node | None, lines: list[str], path: tuple[str, ...]
) -> Iterator[Value]:
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        names = (*path, key.value)
        text = _comment_above(lines, key.start_mark.line)
        if not text and isinstance(value, yaml.MappingNode):
            yield from _values_below(value, lines, names)
        else:
            yield Value(".".join(names), yaml.SafeLoader("").construct_document(value), text)


def _comment_above(lines: list[str], number: int) -> str:
    """The comment that ends above this line, from its mark on; "" if it has none."""
    first = number
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1
    comment = " ".join(line.strip().removeprefix("# ") for line in lines[first:number])
    return comment.removeprefix("-- ") if comment.startswith("-- ") else ""


def with_table(page: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    rows = [
        f"| `{one.path}` | `{json.dumps(one.default)}` | {one.text} |\n" for one in read_values()
    ]
    head = "| value | default | meaning |\n| --- | --- | --- |\n"
    return before + _BEGIN + head + "".join(rows) + _END + after


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
