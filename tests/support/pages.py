"""The documents (*.md) as text, and the parts of them that a program can check."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
"""A code block: its info string and its text."""
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"((?:\b[A-Z_]+=\S+ )*)(?:\S*/)?\bdsiem-backend ((?:[^#|&>\n])*)")
_NOT_DOCUMENTS = {"build", "dist", "node_modules"}
"""Top folders with generated files."""


def all_pages() -> list[Path]:
    """Every Markdown file of the tree, without generated and hidden folders."""
    paths = (path for path in ROOT.rglob("*.md") if _is_document(path.relative_to(ROOT)))
    return sorted(paths)


def _is_document(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.parts[0] not in _NOT_DOCUMENTS


def page_id(page: Path) -> str:
    """The path of a page below the top folder, as the id of a test."""
    return str(page.relative_to(ROOT))


EACH_PAGE = pytest.mark.parametrize("page", all_pages(), ids=page_id)
"""Run a test once for each page."""


def read_page(name: str) -> str:
    """The text of a page of docs/."""
    return (DOCS / name).read_text("utf-8")


def without_code_blocks(page: Path) -> str:
    """The text of a page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def code_spans(page: Path) -> list[str]:
    """The `code` within the lines of text of a page."""
    return _CODE_SPAN.findall(without_code_blocks(page))


def typed_commands(page: Path) -> Iterator[tuple[str, str]]:
    """Each `dsiem-backend …` of a page: the variables before it, and its arguments."""
    blocks = [text for kind, text in FENCE.findall(page.read_text("utf-8")) if not kind]
    for code in (*blocks, *code_spans(page)):
        for line in code.replace("\\\n", " ").splitlines():
            yield from _COMMAND.findall(line)


def first_column(text: str, head: str) -> list[str]:
    """The code in the first cells of the tables whose first column has this head.

    A cell with more than one code gives each.
    """
    table = rf"^\| {re.escape(head)} \|.*\n\| ---.*\n((?:\|.*\n)+)"
    rows = "".join(re.findall(table, text, re.MULTILINE)).splitlines()
    return [code for row in rows for code in _CODE_SPAN.findall(row.split(" | ")[0])]
