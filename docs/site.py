"""Builds the documents as a site in build/site/: `python docs/site.py`, or `make docs`.

Needs no network. Pages link to other files of the repository by their paths, so the site is built
of a copy of these files, in the same folders; README.md is its first page. A link or an anchor that
leads nowhere is an error.
"""

import logging
import os
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, MkDocsException

from shards.version import version

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"
_COPIED = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
_FOLDERS = ("docs", "deploy", "benchmarks/README.md")
_BLOCK_NAME = re.compile(rb"^(```\w+) .*$", re.MULTILINE)
"""What a block is called after its language, for tests; Python-Markdown would see no block."""
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s#]+)")


def copy_sources(source: Path = SOURCE) -> None:
    """Copy the pages, and the files of the repository that they link to."""
    shutil.rmtree(source, ignore_errors=True)
    for name in (*_COPIED, *_FOLDERS):
        for path in _files(ROOT / name):
            if path.suffix == ".md" or path.name == "LICENSE":
                _copy(path, source)
                for target in _linked(path):
                    _copy(target, source)


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file())
    return [place] if place.exists() else []


def _linked(page: Path) -> list[Path]:
    """The files inside the repository that a page links to."""
    links = _LINK.findall(page.read_text("utf-8"))
    targets = (Path(os.path.normpath(page.parent / link)) for link in links)
    return [path for path in targets if path.is_file() and path.is_relative_to(ROOT)]


def _copy(path: Path, source: Path) -> None:
    target = source / path.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = path.read_bytes()
    target.write_bytes(_BLOCK_NAME.sub(rb"\1", content) if path.suffix == ".md" else content)


def build_site(source: Path = SOURCE, site: Path = SITE) -> int:
    """Build the site of the copied files; 1 if something in it is wrong, which is printed."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        config = load_config(
            str(ROOT / "docs" / "mkdocs.yml"),
            docs_dir=str(source),
            site_dir=str(site),
            strict=True,
            copyright=f"Version {version()}. Apache-2.0.",
        )
        build(config)
    except (Abort, MkDocsException) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{site / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    copy_sources()
    sys.exit(build_site())
