"""Set-up of all tests: the Hypothesis profile, and the end of services that a test has left."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from loguru import logger

from tests.support import serving
from tests.support.examples import FAST_PROFILE, USUAL_PROFILE
from tests.support.release import Release, make_release

MAX_LEAKED = 40
"""Descriptors that the tests of one file may leave: libraries open some for good."""


def pytest_configure(config: pytest.Config) -> None:
    """Run fewer examples where the slow tests are left out too, unless a profile is named."""
    fast = config.option.markexpr == "not integration"
    named = config.getoption("--hypothesis-profile")
    settings.load_profile(named or (FAST_PROFILE if fast else USUAL_PROFILE))


@pytest.hookimpl(trylast=True)  # when all marks are there
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each process of pytest-xdist begin with long tests, so that no core is idle at the end.

    Of the list of all tests, each process first gets an equal part.
    """
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("integration")]
    short = [item for item in items if not item.get_closest_marker("integration")]
    items[:] = [
        item
        for place in range(processes)
        for tests in (long, short)
        for item in tests[place * len(tests) // processes : (place + 1) * len(tests) // processes]
    ]


@pytest.fixture(autouse=True)
def _end_services() -> Iterator[None]:
    """End each service that the test has started, even if the test fails."""
    yield
    while serving.started_services:
        serving.started_services.pop().kill_all()


@pytest.fixture(autouse=True)
def _restore_umask() -> Iterator[None]:
    """Undo what commands that ran in this process have set for its new files."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For a command in this process: none of the caller's settings, and no logging afterwards."""
    for name in [name for name in os.environ if name.startswith("DSIEM_")]:
        monkeypatch.delenv(name)
    yield
    logger.remove()


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The release of the last commit; the processes of a test run share it."""
    own = tmp_path_factory.getbasetemp()
    return make_release(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="module", autouse=True)
def _no_descriptors_leak() -> Iterator[None]:
    """The tests of a file close what they open: others test what happens when few are left."""
    before = _open_descriptors()
    yield
    if _open_descriptors() - before > MAX_LEAKED:
        gc.collect()
        leaked = _open_descriptors() - before
        assert leaked <= MAX_LEAKED, f"{leaked} descriptors are still open"


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
