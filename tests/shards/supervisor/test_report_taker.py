"""The report taker: the order of lines, syncs and confirmations, and what comes twice."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shards.alarm_files import ALARM_EVENTS, ALARMS, AlarmFiles
from shards.file_position import FilePosition, FilePositions, decode_positions
from shards.histograms import Timings
from shards.ipc.messages import AlarmLines, Ready, Saved, Synced, WorkerDetails
from shards.positions import base_of
from shards.router.start import ShardStart
from shards.settings.settings import Settings
from shards.supervisor.alarm_writer import AlarmWriter
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.observer import Observer
from shards.supervisor.overload_signals import OverloadSignals
from shards.supervisor.report_taker import ReportTaker
from shards.supervisor.written_lines import WrittenLines
from tests.support.generations import generation
from tests.support.reports import worker_report


class Signals(OverloadSignals):
    """Counts the late events that are announced."""

    late = 0

    def __init__(self) -> None:
        pass

    def report_late(self) -> None:
        self.late += 1


class Writer(AlarmWriter):
    """Notes in `steps` when files are synced."""

    def __init__(self, files: AlarmFiles, steps: list[Any]) -> None:
        super().__init__(files)
        self._steps = steps

    async def sync(self) -> bool:
        self._steps.append("sync")
        return await super().sync()


class World:
    """A report taker of two workers; `steps`: syncs, and what was sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[Any] = []
        self.signals = Signals()
        self.aggregator = LedgerAggregator(2)
        self.observer = Observer(Settings(workers=2), generation([1], [2]), self.aggregator)
        self.writer = Writer(AlarmFiles(folder), self.steps)
        self.reports = ReportTaker(2, self.aggregator, self.observer, self.writer, self.signals)

    def take(self, report: AlarmLines, worker: int = 0) -> None:
        async def run() -> None:
            async with asyncio.timeout(10):
                await self.reports.take(worker, report, self._send, self._send)

        asyncio.run(run())
        assert not self.reports.writing

    def _send(self, message: Synced | Saved) -> None:
        self.steps.append((message, (self.folder / ALARMS).read_bytes()))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.writer.close()


def test_a_sync_is_confirmed_once_the_lines_are_on_the_disk(world: World) -> None:
    world.take(worker_report(3, alarms=b"a\n"))
    assert world.steps == []
    world.take(worker_report(4, alarms=b"b\n", sync=7))
    [sync, (message, content)] = world.steps
    assert (sync, message.sync, content) == ("sync", 7, b"a\nb\n")
    positions = decode_positions(message.files)
    assert positions is not None
    assert (positions.alarms.offset, positions.alarm_events.offset) == (4, 0)
    assert positions.alarms.inode == (world.folder / ALARMS).stat().st_ino
    assert world.aggregator.total().deliveries.consumed == 4


def test_the_router_is_told_of_a_checkpoint_once(world: World) -> None:
    for saved in (0, 5, 5, 9):
        world.take(worker_report(9, saved=saved), worker=1)
    world.reports.worker_ended(1, clean=False)
    for saved in (9, 5, 11):
        world.take(worker_report(9, saved=saved), worker=1)
    assert world.steps == [(Saved(1, position, position), b"") for position in (5, 9, 11)]


def test_while_no_checkpoint_can_be_written_the_router_keeps_nothing(world: World) -> None:
    details = WorkerDetails(Timings(), {}, {}, 0.0, "No space left on device")
    world.take(worker_report(5, saved=base_of(1) + 2))
    report = worker_report(9, saved=base_of(1) + 2, details=details)
    world.take(replace(report, generation=3))  # also what began a generation
    held = base_of(1) + 2
    assert world.steps == [(Saved(0, held, held), b""), (Saved(0, base_of(1) + 9, held, 3), b"")]


def test_lines_of_the_run_before_are_forgotten_when_all_workers_are_later_than_its_end(
    world: World,
) -> None:
    """A run that dies soon has few lines to know; a short one after another does not add up."""
    position = FilePosition(1, 0, 0)
    known = WrittenLines(FilePositions(1, position, position))
    known.add_alarm_events([b"e", b"f", b"g"])
    world.reports._written = known
    later = int(time.time()) + 1000
    for worker, clock in ((0, later), (1, 5), (1, 6)):
        world.take(replace(worker_report(3, alarm_events=b"e\n"), clock=clock), worker)
        assert known.positions
    world.take(replace(worker_report(4), clock=later), worker=1)
    assert known.positions is None
    world.take(worker_report(5, alarm_events=b"f\n"))
    assert (world.folder / ALARM_EVENTS).read_bytes() == b"e\ne\nf\n"


def test_lines_that_time_caused_before_a_death_are_not_written_twice(world: World) -> None:
    world.take(worker_report(3, alarm_events=b"e\n"))
    world.take(worker_report(3, alarms=b'{"alarm_id":"x"}\n'))
    position = world.reports.written(0).position
    world.reports.worker_ended(0, clean=False)
    assert (world.reports.written(0).position, world.reports.written(1).position) == (position, 0)
    again = worker_report(3, alarms=b'{"alarm_id":"x"}\n{"alarm_id":"y"}\n')
    world.take(again, worker=1)  # another one's lines are its own
    world.take(again)
    assert (world.folder / ALARMS).read_bytes() == (
        b'{"alarm_id":"x"}\n{"alarm_id":"x"}\n{"alarm_id":"y"}\n{"alarm_id":"y"}\n'
    )
    assert (world.folder / ALARM_EVENTS).read_bytes() == b"e\n"


def test_a_part_of_a_report_is_written_and_changes_no_count(world: World) -> None:
    world.take(worker_report(3))
    world.take(AlarmLines(b"e\n", b"a\n"))
    assert (world.folder / ALARMS).read_bytes() == b"a\n"
    assert world.aggregator.total().deliveries.consumed == 3
    assert world.steps == []


def test_after_giving_up_nothing_is_confirmed(world: World) -> None:
    world.writer.give_up()
    world.take(worker_report(3, alarms=b"a\n", sync=1, saved=9))
    assert world.steps == []
    assert world.reports.written(0).position == 0
    assert world.aggregator.total().deliveries.consumed == 3


def test_late_events_are_announced(world: World) -> None:
    for late in (0, 2, 2, 3):
        world.take(worker_report(3, late=late))
    assert world.signals.late == 2


def test_a_worker_begins_where_its_checkpoint_is_in_the_stream_of_it(world: World) -> None:
    """Another router reads from there. A worker that was started again may not know the stream."""
    first, anew = base_of(1), base_of(2)

    def saved(position: int, stream: str) -> ShardStart:
        world.take(replace(worker_report(9, saved=position), stream=stream))
        return world.reports.starts[0]

    assert saved(first + 5, "A") == ShardStart(first + 5, "A")
    assert saved(0, "B") == ShardStart(first + 5, "A")
    world.reports.worker_ended(0, clean=False)
    assert world.reports.starts == (ShardStart(first + 5, "A"), ShardStart())
    world.reports.worker_is_ready(0, Ready(position=first + 7))
    assert world.reports.starts[0] == ShardStart(first + 7, "A")
    assert saved(first + 7, "") == ShardStart(first + 7, "A")
    assert saved(anew + 1, "") == ShardStart(anew + 1, "")
    assert saved(anew + 1, "B") == ShardStart(anew + 1, "B")
