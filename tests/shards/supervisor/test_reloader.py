"""Reloads, with a loader and a handover that do what the test says."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from loguru import logger

from shards.config.generation import (
    ConfigChanges,
    ConfigParts,
    ConfigSummary,
    LoadRequest,
    LoadResult,
    RunningConfig,
)
from shards.ipc.shared_value import SharedValue
from shards.ops.reload_outcome import ReloadOutcome
from shards.settings.settings import Settings
from shards.supervisor import reloader
from shards.supervisor.config_loading import Loaded
from shards.supervisor.generations import MAX_KEPT, Generation, Generations
from shards.supervisor.reloader import Reloader
from tests.support.generations import generation

SUMMARY = ConfigSummary("def", [[1], [2]])
CHANGED = LoadResult(SUMMARY, ConfigChanges(changed=[1], unchanged=1))
UNCHANGED = LoadResult(SUMMARY, ConfigChanges(unchanged=2))
FAULTY = LoadResult(None, problems=[{"severity": "fault", "text": "a fault"}])
TURNS = 20


async def some_turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Service:
    """A reloader, what it calls, and what it loads: `files` are read when a load begins."""

    def __init__(self, **settings: Any) -> None:
        self.files = CHANGED
        self.loads: list[LoadRequest] = []
        self.read: list[LoadResult] = []
        self.running: list[RunningConfig] = []
        self.ended_loads = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.switched: list[Generation] = []
        self.used: list[tuple[int, ConfigChanges]] = []
        self.noted: list[ReloadOutcome] = []
        self.generations = Generations(
            generation([1], [2]), 2, has_checkpoints=True, has_stream=False
        )
        self.reloader = Reloader(
            Settings(workers=2, **settings),
            SimpleNamespace(),  # type: ignore[arg-type]
            self.generations,
            self._switch_to,
            lambda generation, changes: self.used.append((generation.number, changes)),
            self.noted.append,
        )

    async def load(self, *arguments: Any) -> Loaded:
        """In place of load_config."""
        _, _, request, running = arguments
        self.loads.append(request)
        self.running.append(running)
        found = self.files
        self.read.append(found)
        try:
            await self.may_end.wait()
        finally:
            self.ended_loads += 1
        return Loaded(found, ConfigParts.create(2))

    async def _switch_to(self, coming: Generation) -> None:
        self.generations.coming = coming
        self.switched.append(self.generations.switched(0))

    @property
    def outcomes(self) -> list[tuple[str, str, int]]:
        """What was noted: trigger, result and generation."""
        return [(one.trigger, one.result, one.generation) for one in self.noted]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The messages of the log from INFO."""
    messages: list[str] = []
    handler = logger.add(lambda m: messages.append(m.record["message"]), level="INFO")
    yield messages
    logger.remove(handler)


Story = Callable[[Service], Awaitable[None]]
Play = Callable[..., Service]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Play a story while the reloader runs; returns the service."""

    def run(story: Story, **settings: Any) -> Service:
        async def bounded() -> Service:
            service = Service(**settings)
            monkeypatch.setattr(reloader, "load_config", service.load)
            async with asyncio.timeout(20), service.reloader.running():
                await story(service)
            return service

        return asyncio.run(bounded())

    return run


def test_a_changed_configuration_is_handed_over_and_used(play: Play) -> None:
    async def story(service: Service) -> None:
        outcome = await service.reloader.reload()
        assert outcome == service.noted[0]
        assert (outcome.successful, outcome.error) == (True, "")
        assert outcome.changes == CHANGED.changes

    service = play(story)
    assert service.outcomes == [("POST /reload", "changed", 2)]
    (coming,) = service.switched
    assert (coming.number, coming.summary) == (2, SUMMARY)
    assert service.used == [(2, CHANGED.changes)]
    assert service.loads == [LoadRequest(download=False, is_start=False, wait_seconds=30)]


def test_each_reload_is_a_generation_of_its_own_and_is_compared_with_the_one_before(
    play: Play,
) -> None:
    async def story(service: Service) -> None:
        for _ in range(3):
            await service.reloader.reload()

    service = play(story)
    assert [coming.number for coming in service.switched] == [2, 3, 4]
    parts = [coming.parts for coming in service.switched[:2]]
    assert [running.parts for running in service.running[1:]] == parts


def test_an_unchanged_configuration_is_not_handed_over(play: Play) -> None:
    async def story(service: Service) -> None:
        service.files = UNCHANGED
        await service.reloader.reload()

    service = play(story)
    assert service.outcomes == [("POST /reload", "unchanged", 1)]
    assert service.switched == []
    assert service.used == [(1, UNCHANGED.changes)]
    assert service.generations.current.summary.hash == "def", "its files may have changed"


def test_a_trouble_of_the_start_ends_with_the_first_reload_without(play: Play) -> None:
    async def story(service: Service) -> None:
        old = ConfigSummary("def", [[1], [2]], trouble="the frontend did not answer")
        service.generations.confirm(old)
        service.files = UNCHANGED
        await service.reloader.reload()

    assert play(story).generations.current.summary.trouble == ""


def test_a_faulty_configuration_changes_nothing(play: Play) -> None:
    async def story(service: Service) -> None:
        service.files = FAULTY
        outcome = await service.reloader.reload()
        assert outcome.problems == FAULTY.problems
        assert outcome.reason == "the configuration has 1 fault"
        service.files = LoadResult(None, error="no such folder")
        assert (await service.reloader.reload()).reason == "no such folder"

    service = play(story)
    assert service.outcomes == [("POST /reload", "failed", 1)] * 2
    assert (service.switched, service.used) == ([], [])


def test_requests_during_a_reload_share_the_next_one_and_see_it(play: Play) -> None:
    async def story(service: Service) -> None:
        service.may_end.clear()
        service.files = UNCHANGED
        first = asyncio.create_task(service.reloader.reload())
        await some_turns()
        assert service.read == [UNCHANGED]
        service.files = CHANGED
        shared = [asyncio.create_task(service.reloader.reload()) for _ in range(3)]
        await some_turns()
        service.reloader.request("SIGHUP")
        service.reloader.request("watch")
        await some_turns()
        assert len(service.loads) == 1
        service.may_end.set()
        assert (await first).result == "unchanged"
        outcomes = await asyncio.gather(*shared)
        assert all(outcome is service.noted[1] for outcome in outcomes)
        await some_turns()

    service = play(story)
    assert service.read == [UNCHANGED, CHANGED]
    assert service.outcomes == [("POST /reload", "unchanged", 1), ("POST /reload", "changed", 2)]


def test_requests_before_it_runs_are_one_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> Service:
        service = Service()
        monkeypatch.setattr(reloader, "load_config", service.load)
        service.reloader.request("SIGHUP")
        waiting = asyncio.create_task(service.reloader.reload())
        await some_turns()
        assert not service.loads
        async with service.reloader.running():
            await waiting
            await some_turns()
        return service

    assert asyncio.run(run()).outcomes == [("SIGHUP", "changed", 2)]


def test_a_client_that_goes_away_does_not_stop_its_reload(play: Play) -> None:
    async def story(service: Service) -> None:
        service.may_end.clear()
        gone, stays = (asyncio.create_task(service.reloader.reload()) for _ in range(2))
        await some_turns()
        gone.cancel()
        await some_turns()
        service.may_end.set()
        assert (await stays).result == "changed"
        assert gone.cancelled()
        assert (await service.reloader.reload()).generation == 3

    play(story)


@pytest.mark.parametrize(
    ("trigger", "downloads"),
    [("SIGHUP", True), ("frontend-poll", True), ("POST /reload", True), ("watch", False)],
)
def test_a_cluster_backend_downloads_unless_files_have_changed(
    trigger: Any, downloads: bool, play: Play
) -> None:
    async def story(service: Service) -> None:
        service.reloader.request(trigger)
        await some_turns()

    cluster = play(story, mode="cluster-backend", frontend_wait=7)
    assert cluster.loads == [LoadRequest(downloads, is_start=False, wait_seconds=7)]
    assert play(story).loads[0].download is False


def test_one_request_of_several_is_enough_for_a_download(play: Play) -> None:
    async def story(service: Service) -> None:
        service.reloader.request("watch")
        service.reloader.request("SIGHUP")
        await some_turns()

    service = play(story, mode="cluster-backend")
    assert [request.download for request in service.loads] == [True]
    assert service.outcomes == [("watch", "changed", 2)]


def test_a_poll_without_changes_is_not_logged(play: Play, logged: list[str]) -> None:
    async def story(service: Service) -> None:
        service.files = UNCHANGED
        for trigger in ("frontend-poll", "SIGHUP", "frontend-poll"):
            service.reloader.request(trigger)
            await some_turns()
        service.files = CHANGED
        service.reloader.request("frontend-poll")
        await some_turns()

    assert len(play(story).noted) == 4
    assert logged == ["configuration is unchanged", "configuration reloaded"]


# Trouble.


def test_with_too_many_generations_none_begins_until_checkpoints_are_newer(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloader, "_CHECKPOINT_SECONDS", 0.0)

    async def story(service: Service) -> None:
        for _ in range(MAX_KEPT - 1):
            assert (await service.reloader.reload()).successful
        refused = await service.reloader.reload()
        assert "checkpoints of the workers are too old" in refused.error
        assert refused.generation == MAX_KEPT
        assert len(service.loads) == MAX_KEPT - 1
        monkeypatch.setattr(reloader, "_CHECKPOINT_SECONDS", 20.0)
        monkeypatch.setattr(reloader, "_LOOK_SECONDS", 0.0)
        waiting = asyncio.create_task(service.reloader.reload())
        await some_turns()
        assert not waiting.done()
        monkeypatch.setattr(Generations, "are_too_many", False)
        assert (await waiting).generation == MAX_KEPT + 1

    play(story)


def test_without_descriptors_a_reload_fails_and_the_service_goes_on(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> SharedValue:
        raise OSError(errno.EMFILE, "Too many open files")

    async def story(service: Service) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(SharedValue, "of", fail)
            outcome = await service.reloader.reload()
        assert outcome.error == "the configuration cannot be loaded: Too many open files"
        assert (await service.reloader.reload()).successful

    play(story)


# A stop.


def test_a_stop_breaks_a_reload_off_and_tells_all_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        service = Service()
        monkeypatch.setattr(reloader, "load_config", service.load)
        async with service.reloader.running():
            service.may_end.clear()
            waiting = [asyncio.create_task(service.reloader.reload())]
            await some_turns()
            waiting.append(asyncio.create_task(service.reloader.reload()))  # shares the next one
            await some_turns()
        assert service.ended_loads == 1
        for outcome in await asyncio.gather(*waiting):
            assert (outcome.successful, outcome.error) == (False, "the service is stopping")
        assert (await service.reloader.reload()).error == "the service is stopping"
        assert (service.noted, service.switched) == ([], [])

    asyncio.run(run())


def test_a_stop_does_not_wait_for_children_that_do_not_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        service = Service()
        monkeypatch.setattr(reloader, "load_config", service.load)
        service.reloader._switch_to = lambda _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
        async with service.reloader.running():
            waiting = asyncio.create_task(service.reloader.reload())
            await some_turns()
        assert (await waiting).error == "the service is stopping"
        assert service.used == []

    asyncio.run(run())
