"""Fixtures of several tests of the checkpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from shards.checkpoint.database_file import prepare_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A prepared checkpoint file."""
    path = tmp_path / "backlogs.db"
    prepare_database(path)
    return path


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged: level, message, and the bound fields of each record."""
    records: list[dict[str, Any]] = []

    def append(message: Any) -> None:
        record = message.record
        fields = {"level": record["level"].name, "message": record["message"]}
        records.append(fields | record["extra"])

    handler = logger.add(append)
    yield records
    logger.remove(handler)
