"""Fixtures of the tests of settings."""

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file with a node name."""
    path = tmp_path / "settings.conf"
    path.write_text("node: from-file\n")
    return path
