"""All processes of a service die at any step: its files are those of a run without a death.

As test_death.py, but the supervisor dies as well, and the next run has only what is on the disk:
the checkpoint and the alarm files. After a power failure the files lack what was not synced.
"""

import asyncio
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shards.alarm_files import ALARM_EVENTS, ALARMS, AlarmFiles
from shards.ipc.messages import AlarmLines, Synced
from shards.settings.settings import Settings
from shards.supervisor.alarm_writer import AlarmWriter
from shards.supervisor.former_run import read_former_run
from shards.supervisor.generations import Generations
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.observer import Observer
from shards.supervisor.report_taker import ReportTaker
from tests.shards.worker.test_death import (
    Action,
    DeathError,
    Files,
    World,
    check,
    random_actions,
    slow_encoding,
)
from tests.support.examples import some_of
from tests.support.generations import generation

pytestmark = pytest.mark.integration  # databases and files for each of a thousand deaths

__all__ = ["slow_encoding"]  # a fixture of all tests


class Disk:
    """The alarm files, and how much of each is safe from a power failure."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced: dict[int, int] = {}
        """Bytes by inode."""

    def paths(self, name: str) -> list[Path]:
        """The files of this name, the oldest first."""
        old = sorted(self._folder.glob(f"{name}.*"), key=lambda path: int(path.suffix[1:]))
        return [path for path in (*old, self._folder / name) if path.exists()]

    def sync(self) -> None:
        """All that was written is safe."""
        for path in (*self.paths(ALARMS), *self.paths(ALARM_EVENTS)):
            status = path.stat()
            self._synced[status.st_ino] = status.st_size

    def lose_power(self) -> None:
        """The files lose what was not synced."""
        for path in (*self.paths(ALARMS), *self.paths(ALARM_EVENTS)):
            os.truncate(path, self._synced.get(path.stat().st_ino, 0))

    def rotate(self) -> None:
        """Rename the files."""
        for name in (ALARMS, ALARM_EVENTS):
            number = len(self.paths(name))  # with that of the present file
            (self._folder / name).rename(self._folder / f"{name}.{number}")


class Writer(AlarmWriter):
    """Takes steps at which it may die, between the two files as well."""

    def __init__(self, files: AlarmFiles, disk: Disk, step: Callable[[], None]) -> None:
        super().__init__(files)
        self._disk = disk
        self._step = step

    async def write(self, report: AlarmLines) -> bool:
        for part in (AlarmLines(report.alarm_events, b""), AlarmLines(b"", report.alarms)):
            assert await super().write(part)
            self._step()
        return True

    async def sync(self) -> bool:
        self._step()
        self._disk.sync()
        self._step()
        return True


class Service(World):
    """A service over all its runs.

    `stream`: what was delivered since the checkpoint is given again, otherwise nothing is.
    `power`: each death is a power failure. `worker_dies_at`: a step at which the worker dies alone,
    unless it is one of the supervisor.
    """

    def __init__(
        self,
        folder: Path,
        dies_at: Sequence[int],
        *,
        stream: bool = True,
        power: bool = False,
        worker_dies_at: int = 0,
    ) -> None:
        self._folder = folder
        self._worker_dies_at = worker_dies_at
        self._disk = Disk(folder)
        self._stream, self._power = stream, power
        self._runs = 0
        self.outdated = 0
        self._random = Random(folder.name)
        super().__init__(folder, dies_at)

    def _step(self) -> None:
        super()._step()
        if self.steps == self._worker_dies_at:
            raise DeathError

    def _start(self, *, is_first: bool) -> None:
        assert is_first
        self._runs += 1
        self._begin_run()
        self._files = AlarmFiles(self._folder)
        written = read_former_run(self._settings, self._files).written
        self._aggregator = LedgerAggregator(1)
        observer = Observer(Settings(), generation([1]), self._aggregator)
        writer = Writer(self._files, self._disk, super()._step)
        self._reports = ReportTaker(1, self._aggregator, observer, writer, None, written)
        self._synced: dict[int, Synced] = {}
        self._start_worker(is_first=True)

    def _begin_run(self) -> None:
        """Begin with the configuration that was there last; generations are those of a run."""
        self._configs = {1: self._configs[self._generations.current.number]}
        self._generations = Generations(
            generation([1]), 1, has_checkpoints=True, has_stream=self._stream
        )
        for batch in self._kept:
            batch.generation = 1

    def _start_worker(self, *, is_first: bool) -> None:
        run = "run" if self._stream else f"run {self._runs}"
        self._start_shard(run, self._reports.written(0), is_first=is_first)

    def _close(self) -> None:
        super()._close()
        self._files.close()

    def _begin_again(self) -> list[Action]:
        if self.steps == self._worker_dies_at:
            self._checkpointer._store.close()
            self._reports.worker_ended(0, clean=False)
            self._start_worker(is_first=False)
            return self._give_again()
        self.outdated += self._aggregator.total().outdated
        self._close()
        if self._power:
            self._disk.lose_power()
        elif self._random.random() < 0.3:
            with (self._folder / ALARMS).open("ab") as file:
                file.write(b'{"alarm_id":"torn')
        self._start(is_first=True)
        return self._give_again()

    def _give_again(self) -> list[Action]:
        """The deliveries that are given again, with reports and checkpoints between them."""
        again: list[Action] = []
        for batch in self._kept if self._stream else ():
            again.append(("again", batch))
            if self._random.random() < 0.3:
                again.append(("report", None))
        return [("checkpoint", []), *again, ("checkpoint", [])]

    async def _do(self, action: Action) -> None:
        if action[0] == "rotate":
            self._disk.rotate()
            self._step()
            self._files.reopen_if_renamed()
            self._step()
        elif action[0] == "again":
            progress = self._shard.progress
            if not action[1].is_held(progress.position, progress.generation):
                # Else it was processed before a second death.
                self._deliver(action[1])
        else:
            await super()._do(action)

    def _report(self, sync: int = 0) -> None:
        report = self._shard.make_report(self._checkpointer.stats, sync=sync)
        self._step()
        finish(self._reports.take(0, report, self._take_synced, lambda _: None))
        self._step()

    def _take_synced(self, message: Synced) -> None:
        self._synced[message.sync] = message

    def _sync_lines(self) -> Awaitable[Synced]:
        self._syncs += 1
        self._report(self._syncs)
        return asyncio.create_task(self._meanwhile(self._syncs))

    async def _meanwhile(self, sync: int) -> Synced:
        await super()._meanwhile(sync)
        return self._synced.pop(sync)

    def lines(self, name: str) -> list[bytes]:
        """All lines, over all rotations."""
        return [line for path in self._disk.paths(name) for line in path.read_bytes().splitlines()]


def finish(take: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has nothing to wait for."""
    with pytest.raises(StopIteration):
        take.send(None)


def history(random: Random) -> list[Action]:
    """A history with rotations, also while a checkpoint is written."""
    actions: list[Action] = []
    for kind, what in random_actions(random, int(time.time())):
        if kind == "checkpoint" and random.random() < 0.3:
            what.insert(random.randint(0, len(what)), ("rotate", None))
        actions.append((kind, what))
        if random.random() < 0.05:
            actions.append(("rotate", None))
    return actions


def run(folder: Path, actions: Sequence[Action], *dies_at: int, **how: Any) -> Service:
    service = Service(folder, dies_at, **how)
    service.run(actions)
    return service


def files_of(service: Service) -> Files:
    by_alarm: dict[str, list[bytes]] = defaultdict(list)
    for line in service.lines(ALARMS):
        by_alarm[json.loads(line)["alarm_id"]].append(line)
    alarms = {alarm: Counter(lines) for alarm, lines in by_alarm.items()}
    return sorted(service.lines(ALARM_EVENTS)), alarms


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power failure"])
@pytest.mark.parametrize("seed", range(2))
def test_a_death_of_all_at_any_step_changes_no_line(tmp_path: Path, seed: int, power: bool) -> None:
    actions = history(Random(seed))
    without = run(tmp_path / "without", actions)
    expected = files_of(without)
    assert len(expected[0]) > 10
    steps = range(1, without.steps - 5)  # the last ones are those of the end
    for step in some_of(steps, (seed, power)):
        check(files_of(run(tmp_path / str(step), actions, step, power=power)), expected)


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power failure"])
@pytest.mark.parametrize("seed", range(20, 32))
def test_several_deaths_of_all_change_no_line(tmp_path: Path, seed: int, power: bool) -> None:
    random = Random(seed)
    actions = history(random)
    without = run(tmp_path / "without", actions)
    deaths = sorted(random.sample(range(1, without.steps - 5), 4))
    found = run(tmp_path / "with", actions, *deaths, power=power)
    check(files_of(found), files_of(without))


@pytest.mark.parametrize("seed", range(2))
def test_a_death_of_all_soon_after_that_of_a_worker_changes_no_line(
    tmp_path: Path, seed: int
) -> None:
    """The worker may not have come as far as the one before it had."""
    random = Random(seed)
    actions = history(random)
    without = run(tmp_path / "without", actions)
    expected = files_of(without)
    for step in some_of(range(1, without.steps - 5), seed):
        then = step + random.randint(1, 40)
        found = run(tmp_path / str(step), actions, then, worker_dies_at=step)
        check(files_of(found), expected)


@pytest.mark.parametrize("seed", range(1, 3))
def test_if_nothing_is_given_again_no_alarm_goes_back(tmp_path: Path, seed: int) -> None:
    actions = history(Random(seed))
    without = run(tmp_path / "without", actions, stream=False)
    outdated = 0
    for step in some_of(range(1, without.steps - 5), seed):
        found = run(tmp_path / str(step), actions, step, stream=False)
        outdated += found.outdated + found._aggregator.total().outdated
        events, alarms = files_of(found)
        assert len(set(events)) == len(events)
        for lines in alarms.values():
            stages = [line.count(b'"status":"finished"') for line in lines]
            assert stages == sorted(stages)
    assert outdated
