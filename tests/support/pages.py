"""The documents as text: which there are, and what of them a program can check.

What may live here: finding pages, code and tables in them. What may not: what is expected of them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"((?:\b[A-Z_]+=\S+ )*)(?:\S*/)?\bdsiem-backend ((?:[^#|&>\n])*)")


def pages() -> list[Path]:
    """All documents."""
    places = ("*.md", "docs/*.md", "benchmarks/*.md", "deploy/**/*.md")
    return sorted(path for place in places for path in ROOT.glob(place))


def text_of(page: str) -> str:
    """One of docs/."""
    return (DOCS / page).read_text("utf-8")


def spans(page: Path) -> list[str]:
    """The code within lines of text."""
    return _SPAN.findall(FENCE.sub("", page.read_text("utf-8")))


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """Each `dsiem-backend …` that is to be typed: the variables before it, and its arguments."""
    blocks = [text for kind, text in FENCE.findall(page.read_text("utf-8")) if not kind]
    for code in (*blocks, *spans(page)):
        for line in code.replace("\\\n", " ").splitlines():
            yield from _COMMAND.findall(line)


def column(text: str, head: str) -> list[str]:
    """The code at the beginning of each row of the tables with this head, as `text` without marks.

    A cell with more than one code gives each.
    """
    table = rf"^\| {re.escape(head)} \|.*\n\| ---.*\n((?:\|.*\n)+)"
    rows = "".join(re.findall(table, text, re.MULTILINE)).splitlines()
    return [code for row in rows for code in _SPAN.findall(row.split(" | ")[0])]
