"""Folders of the checkout. A file of its own, since most other helpers use it."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TESTS = ROOT / "tests"
EXAMPLE = ROOT / "shards" / "demo" / "example"
