"""Each link, anchor and path in the documents leads to something that exists."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import EACH_PAGE, code_spans, without_code_blocks
from tests.support.paths import ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"(?:engine|shards|tests|benchmarks|deploy|docs)/[\w./-]*")
"""A path from the top folder, as code in a line of text."""
GENERATED = "benchmarks/results/"
"""Files in this folder are results of the benchmarks, and some are not under version control."""


def anchors(page: Path) -> Iterator[str]:
    """The anchors that GitHub gives the headings of a page; a repeated one gets a number."""
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#+ (.*)$", without_code_blocks(page), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        yield anchor if not seen[anchor] else f"{anchor}-{seen[anchor]}"
        seen[anchor] += 1


def broken_links(page: Path) -> list[str]:
    """The relative links of a page whose file or heading does not exist."""
    broken = []
    for link in LINK.findall(without_code_blocks(page)):
        place, _, anchor = link.partition("#")
        if place.startswith(("http:", "https:")):
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@EACH_PAGE
def test_each_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@EACH_PAGE
def test_each_path_exists(page: Path) -> None:
    spans = {span for span in code_spans(page) if PATH.fullmatch(span)}
    paths = {span for span in spans if not span.startswith(GENERATED)}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](b.md)", []),
        ("[a](c.md)", ["c.md"]),
        ("[a](#one)", []),
        ("[a](#two)", ["#two"]),
        ("[a](b.md#a-b-c)", []),
        ("[a](b.md#twice-1) ![an image](c.svg)", ["c.svg"]),
        ("[a](b.md#twice-2)", ["b.md#twice-2"]),
        ("[a](https://example.org/x#y)", []),
        ("```\n[a](c.md)\n```\n", []),
    ],
)
def test_the_check_finds_broken_links(text: str, broken: list[str], tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(f"# One\n{text}")
    (tmp_path / "b.md").write_text("# A, `b`: c?\n## Twice\n## Twice\n")
    assert broken_links(page) == broken
