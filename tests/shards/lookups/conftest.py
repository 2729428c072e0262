"""Fixtures of the tests of lookups."""

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from tests.support.frontend import Reply
from tests.support.lookup_server import (
    NESD_HIT,
    PAIR_PATH,
    PATH,
    WISE_HIT,
    LookupServer,
)


@pytest.fixture
def server() -> Iterator[LookupServer]:
    """A server with one hit for IP as WISE, one for PAIR as Nesd, and none for anything else."""
    with LookupServer() as served:
        served.replies[PATH] = Reply(body=WISE_HIT)
        served.replies[PAIR_PATH] = Reply(body=NESD_HIT)
        yield served


@pytest.fixture
def log_records() -> Iterator[list[dict[str, Any]]]:
    """The messages that are logged, with the fields bound to them."""
    records: list[dict[str, Any]] = []
    handler = logger.add(
        lambda m: records.append({"message": m.record["message"], **m.record["extra"]}),
        level="INFO",
    )
    yield records
    logger.remove(handler)
