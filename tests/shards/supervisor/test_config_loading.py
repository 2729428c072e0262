"""The loader process as the supervisor runs it: its result, its death, its hang, its end."""

import asyncio
import os
import signal
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import pytest
from loguru import logger

from shards.config.generation import FormerDefinitions, LoadRequest, RunningConfig
from shards.exit_codes import INVALID, NO_PATH
from shards.ipc.child import ChildProcess
from shards.ipc.forked_process import ForkServer
from shards.ipc.shared_value import SharedValue
from shards.settings.settings import Settings
from shards.supervisor import config_loading
from shards.supervisor.config_loading import LOADER, ConfigLoading, Loaded, load_config
from tests.support.serving import counting_directive, few_descriptors, write_config

pytestmark = pytest.mark.integration  # real processes

SECONDS = 20
REQUEST = LoadRequest(download=False, is_start=False, wait_seconds=0)


class Started(ChildProcess):
    """A process, which is noted."""

    all: ClassVar[list["Started"]] = []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.all.append(self)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, and was waited for."""
        return self._process._code is not None

    @property
    def pid(self) -> int:
        return self._process.pid


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """All loaders."""
    Started.all.clear()
    monkeypatch.setattr(config_loading, "ChildProcess", Started)
    monkeypatch.setattr(config_loading, "_CHECK_SECONDS", 0.05)
    return Started.all


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """A fork server."""
    with ForkServer(["shards.config.loader", "tests.support.child_targets"]) as server:
        yield server


@pytest.fixture
def records() -> Iterator[list[Any]]:
    """What is logged here."""
    found: list[Any] = []
    handler = logger.add(lambda message: found.append(message.record))
    yield found
    logger.remove(handler)


def settings_of(folder: Path, *ids: int, **more: Any) -> Settings:
    config = write_config(folder, map(counting_directive, ids))
    return Settings(config_dir=config, workers=2, **more)


async def bounded(
    server: ForkServer, settings: Settings, running: RunningConfig | None = None
) -> Loaded:
    async with asyncio.timeout(SECONDS):
        return await load_config(server, settings, REQUEST, running)


async def begin(server: ForkServer, settings: Settings) -> "asyncio.Task[Loaded]":
    """Begin to load; the process runs then."""
    loading = asyncio.create_task(bounded(server, settings))
    while not Started.all:
        await asyncio.sleep(0)
    return loading


def load(server: ForkServer, settings: Settings, running: RunningConfig | None = None) -> Loaded:
    return asyncio.run(bounded(server, settings, running))


def use_target(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(config_loading, "LOADER_TARGET", f"tests.support.child_targets:{name}")


def test_the_parts_of_a_configuration_are_there(server: ForkServer, tmp_path: Path) -> None:
    result, parts = load(server, settings_of(tmp_path, 1, 2, 3))
    assert result.summary is not None
    assert parts is not None
    loaded = [sorted(part.load().directives) for part in parts.workers]
    assert loaded == result.summary.directives
    assert sorted(chain.from_iterable(loaded)) == [1, 2, 3]
    assert result.changes.added == [1, 2, 3]


def test_it_is_compared_with_the_one_that_runs(server: ForkServer, tmp_path: Path) -> None:
    _, parts = load(server, settings_of(tmp_path, 1, 2, 3))
    assert parts is not None
    running = RunningConfig(parts, SharedValue.of(FormerDefinitions()))
    changes = load(server, settings_of(tmp_path, 2, 3, 4), running).result.changes
    assert (changes.added, changes.removed, changes.unchanged) == ([4], [1], 2)


def test_a_fault_is_in_the_result(server: ForkServer, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, 1)
    (settings.config_dir / "directives_a.json").write_text("{")
    result, _ = load(server, settings)
    assert (result.summary, result.exit_code) == (None, INVALID)
    assert result.problems
    missing, _ = load(server, Settings(config_dir=tmp_path / "none", workers=2))
    assert missing.exit_code == NO_PATH
    assert "none" in missing.error


def test_the_death_of_the_loader_is_a_fault(
    server: ForkServer,
    tmp_path: Path,
    started: list[Started],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_target(monkeypatch, "hanging_loader")

    async def run() -> Loaded:
        loading = await begin(server, settings_of(tmp_path, 1))
        os.kill(started[0].pid, signal.SIGKILL)
        return await loading

    result, _ = asyncio.run(run())
    assert (result.summary, result.exit_code) == (None, INVALID)
    assert result.error == "the process that loads the configuration has ended with -9"
    assert started[0].name == LOADER


def test_a_loader_that_hangs_is_killed(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: list[Any]
) -> None:
    use_target(monkeypatch, "hanging_loader")
    result, _ = load(server, settings_of(tmp_path, 1, hang_timeout=1))
    assert result.error == "the process that loads the configuration has ended with -9"
    (record,) = [one for one in records if "makes no progress" in one["message"]]
    assert record["extra"]["process"] == LOADER
    assert " _hang" in record["extra"]["position"]


def test_a_loader_may_take_long_while_it_makes_progress(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_target(monkeypatch, "slow_loader")
    assert load(server, settings_of(tmp_path, 1, hang_timeout=1)).result.error == "a test"


def test_a_load_that_is_cancelled_leaves_no_process(
    server: ForkServer,
    tmp_path: Path,
    started: list[Started],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_target(monkeypatch, "hanging_loader")

    async def run() -> None:
        loading = await begin(server, settings_of(tmp_path, 1))
        await asyncio.sleep(0)
        loading.cancel()
        await asyncio.wait([loading])
        assert loading.cancelled()

    asyncio.run(run())
    assert started[0].has_ended


def test_a_process_whose_result_nobody_waits_for_ends_with_the_context(
    server: ForkServer, tmp_path: Path, started: list[Started], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_target(monkeypatch, "hanging_loader")
    with ConfigLoading(server, settings_of(tmp_path, 1), REQUEST, None):
        assert not started[0].has_ended
    assert started[0]._process.wait() == -signal.SIGKILL


def test_without_descriptors_it_is_a_fault(server: ForkServer, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, 1)

    async def run() -> Loaded:
        with few_descriptors(os.getpid()):
            return await bounded(server, settings)

    result, parts = asyncio.run(run())
    assert result.error == "the configuration cannot be loaded: Too many open files"
    assert (result.exit_code, parts) == (INVALID, None)
    assert load(server, settings).result.summary is not None
