"""OSSIM directives for tests, and what they are converted to."""

from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import msgspec

from shards.config.problem import ProblemList
from shards.ossim.conversion import Converter, Counts

Json = dict[str, Any]

USER_XML = Path(__file__).parent.parent / "shards" / "ossim" / "user.xml"
"""A file as an administrator would have written it."""


def element(tag: str, *children: str, **attributes: object) -> str:
    """An element; the underscore after a name that Python reserves is left out."""
    given = "".join(f" {k.rstrip('_')}={quoteattr(str(v))}" for k, v in attributes.items())
    return f"<{tag}{given}>{''.join(children)}</{tag}>"


def rule(*following: str, **attributes: object) -> str:
    """A rule that can be converted, with the alternatives that follow it."""
    given = {"type": "detector", "name": "r", "reliability": 1, "time_out": 60} | attributes
    if not {"plugin_id", "plugin_sid", "product", "category"} & given.keys():
        given |= {"plugin_id": 1001, "plugin_sid": 1}
    return element("rule", *([element("rules", *following)] if following else []), **given)


def directive(root: str, **attributes: object) -> str:
    """A directive with this first rule."""
    given = {"id": 7, "name": "AV Misc, test", "priority": 3, "kingdom": "k", "category": "c"}
    return element("directive", root, **given | attributes)


class Converted(NamedTuple):
    """The directives of a file, and the problems as `line severity code stage field: message`."""

    directives: list[Json]
    problems: list[str]
    counts: Counts

    @property
    def codes(self) -> list[str]:
        """The severity, code, stage and field of each problem."""
        return [problem.split(" ", 1)[1].split(":")[0] for problem in self.problems]


def convert(text: str | bytes, folder: Path, **options: Any) -> Converted:
    """Convert a file with this text."""
    path = folder / "user.xml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    problems = ProblemList()
    converter = Converter(problems, **options)
    converter.convert_file(path)
    return Converted(
        [msgspec.json.decode(raw) for raw in converter.directives],
        [
            f"{one.line} {'warning' if one.finding.warning else 'error'} {one.finding.code} "
            f"{one.finding.stage or '-'} {one.finding.field or '-'}: {one.finding.message}"
            for one in problems.listed
        ],
        converter.counts,
    )
