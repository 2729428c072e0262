"""Writes the table of numbers in docs/console.md from the page's own: `python docs/console.py`.

A test holds both together.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).with_name("console.md")
SOURCE = Path(__file__).parent.parent / "shards/ops/console/static/views/flow_advice.js"
_BEGIN, _END = "<!-- numbers: python docs/console.py -->\n", "<!-- end of numbers -->\n"
_ENTRY = re.compile(
    r'^  "?([\w.]+)"?: \{\s*name: "([^"]+)",\s*kind: "(bad|warn)",\s*'
    r'advice:\s*"((?:[^"\\]|\\.)*)"',
    re.MULTILINE,
)


class Advice(NamedTuple):
    """What a count that should be 0 means; `path`: in the ledger, without a reason at its end."""

    path: str
    name: str
    kind: str
    text: str


def read_advice() -> Iterator[Advice]:
    """The entries of the page's table."""
    table = SOURCE.read_text("utf-8").partition("\n};")[0]
    return (Advice(*found) for found in _ENTRY.findall(table))


def with_table(page: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    rows = [
        f"| {one.name} | `{one.path}` | {'**lost**' if one.kind == 'bad' else ''} | {one.text} |\n"
        for one in read_advice()
    ]
    head = "| what it shows | in the ledger | | what to do |\n| --- | --- | --- | --- |\n"
    return before + _BEGIN + head + "".join(rows) + _END + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
    sys.exit(0)
