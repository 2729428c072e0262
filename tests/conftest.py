"""What holds for all tests: no service outlives the test that started it, even if that fails."""

import os
from collections.abc import Iterator

import pytest
from loguru import logger

from tests.support import serving


@pytest.fixture(autouse=True)
def _no_service_is_left() -> Iterator[None]:
    yield
    while serving.started:
        serving.started.pop().end()


@pytest.fixture
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For running the command in this process: no settings of whoever runs the tests, no logs."""
    for name in [name for name in os.environ if name.startswith("DSIEM_")]:
        monkeypatch.delenv(name)
    yield
    logger.remove()
