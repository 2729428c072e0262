"""What holds for all tests: no service outlives the test that started it, even if that fails."""

from collections.abc import Iterator

import pytest

from tests import serving


@pytest.fixture(autouse=True)
def _no_service_is_left() -> Iterator[None]:
    yield
    while serving.started:
        serving.started.pop().end()
