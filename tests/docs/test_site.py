"""The documents as a site: every page is in it, and it needs no other host."""

import json
import re
import runpy
from pathlib import Path

import pytest

from tests.support.pages import all_pages
from tests.support.paths import ROOT

BUILDER = runpy.run_path(str(ROOT / "docs" / "site.py"))
LOADED = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?(https?:[^\" >]+)")
STYLES = re.compile(r"<link\b[^>]*\bhref=\"?(https?:[^\" >]+)")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    BUILDER["copy_sources"](folder)
    return folder


@pytest.fixture(scope="module")
def site(source: Path) -> Path:
    folder = source.with_name("site")
    assert BUILDER["build_site"](source, folder) == 0
    return folder


def test_each_page_is_in_it_and_can_be_found(site: Path) -> None:
    pages = {str(page.relative_to(ROOT)) for page in all_pages()}
    built = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    names = {re.sub(r"README\.md$", "index.html", page).replace(".md", ".html") for page in pages}
    assert names <= built
    entries = json.loads((site / "search" / "search_index.json").read_bytes())["docs"]
    assert {entry["location"].partition("#")[0] for entry in entries} >= names - {"index.html"}


def test_each_block_of_code_is_shown_as_one(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "```" not in page.read_text("utf-8"), page


def test_nothing_is_loaded_from_other_hosts(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert LOADED.findall(text) + STYLES.findall(text) == [], page


@pytest.mark.usefixtures("site")
def test_a_link_that_leads_nowhere_is_an_error(source: Path, tmp_path: Path) -> None:
    page = source / "docs" / "http.md"
    text = page.read_text("utf-8")
    page.write_text(text + "\n[x](http.md#nowhere)\n", "utf-8")
    assert BUILDER["build_site"](source, tmp_path) == 1
    page.write_text(text, "utf-8")
