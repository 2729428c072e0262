"""A worker process without a process: its pipes are real, its clock is set by the test."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from multiprocess import reduction
from multiprocess.connection import Connection, Pipe

from engine.asset import Asset
from engine.directives.asset_document import parse_assets
from engine.directives.directive import Directive, parse_directives
from shards.config.generation import GenerationStart
from shards.ipc.control import ControlChannel
from shards.ipc.framing import LINES_BYTES, decode_from_child, encode_frame, read_report
from shards.ipc.messages import (
    AlarmLines,
    AttachPipe,
    Batch,
    FromChild,
    Prepare,
    Prepared,
    Ready,
    Stop,
    Synced,
    WorkerReport,
)
from shards.ipc.pipes import make_pipe, open_reader, open_writer
from shards.settings.settings import Settings
from shards.worker import process
from shards.worker.shard import ALARMS_PER_TURN
from shards.worker.start import WorkerStart
from tests.support.generations import worker_generation

pytestmark = pytest.mark.integration  # it takes seconds to open the backlogs

NOW = 1_800_000_000
BACKLOGS = 50_000
TIMEOUT = 600
DIRECTIVE = {"id": 1, "name": "n", "kingdom": "k", "category": "c", "priority": 5}


def configured(*numbers: int, name: str = "n") -> tuple[list[Directive], list[Asset]]:
    rule = {"name": "r", "type": "PluginRule", "plugin_id": 1, "occurrence": 1, "from": "ANY"}
    rule |= {"to": "ANY", "reliability": 10, "timeout": TIMEOUT}
    rules = [rule | {"stage": 1, "plugin_sid": [1]}, rule | {"stage": 2, "plugin_sid": [2]}]
    named = DIRECTIVE | {"name": name, "rules": rules}
    document = msgspec.json.encode({"directives": [named | {"id": id_} for id_ in numbers]})
    directives = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    return directives, assets


def start() -> WorkerStart:
    return WorkerStart(0, "run", (worker_generation(1, *configured(1)),))


def event(event_id: str, sid: int, at: int) -> bytes:
    time = datetime.fromtimestamp(at, UTC).isoformat()
    addresses = {"src_ip": "10.0.0.1", "dst_ip": "10.0.0.2"}
    body = {"event_id": event_id, "timestamp": time, "sensor": "s", "plugin_id": 1}
    return json.dumps(body | addresses | {"plugin_sid": sid}).encode()


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = NOW

    def now(self) -> int:
        return self.seconds


class Worker:
    """A running worker, with the other ends of its pipes; collects what it reports."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr(process, "WallClock", lambda: self.clock)
        self.reports: list[AlarmLines] = []
        self._folder = folder
        self._position = 0
        self._batches: asyncio.StreamWriter | None = None
        self._control: Connection
        self._messages: list[FromChild] = []
        self.messages_at_end: list[FromChild] = []
        """All that it has sent."""
        self.start = start()
        self.generation = 1
        """That of the next batch."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it; at the end of the context send Stop, and wait for its end."""
        control, child_control = Pipe()
        self._control = control
        reader, writer = make_pipe()
        reports = os.dup(reader.fileno())
        stream = await open_writer(os.dup(writer.fileno()))
        reader.close()
        writer.close()
        channel = ControlChannel(child_control)
        settings = Settings(
            log_dir=self._folder, checkpoint_interval=0, reload_backlogs=False, expiry_grace=10
        )
        self.process = process._WorkerProcess(channel, settings, stream, self.start)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(self._collect(reports, control))
            group.create_task(self.process.run())
            await self._attach_pipe(control)
            yield
            assert self._batches is not None
            self._batches.close()
            control.send_bytes(msgspec.msgpack.encode(Stop()))
        self.messages_at_end = self.messages
        asyncio.get_running_loop().remove_reader(child_control.fileno())
        control.close()
        child_control.close()

    async def _attach_pipe(self, control: Connection) -> None:
        reader, writer = make_pipe()
        control.send_bytes(msgspec.msgpack.encode(AttachPipe(0, 1, 0)))
        reduction.send_handle(control, reader.fileno(), os.getpid())
        self._batches = await open_writer(os.dup(writer.fileno()))
        reader.close()
        writer.close()

    async def _collect(self, descriptor: int, control: Connection) -> None:
        async with open_reader(descriptor) as stream:
            while (report := await read_report(stream)) is not None:
                self.reports.append(report)
                if isinstance(report, WorkerReport) and report.sync:
                    control.send_bytes(msgspec.msgpack.encode(Synced(report.sync)))

    async def send(self, *events: bytes) -> None:
        """Send a batch."""
        assert self._batches is not None
        batch = Batch(
            self._position + 1,
            self._position + len(events),
            self.clock.seconds,
            False,
            list(events),
            generation=self.generation,
        )
        self._position = batch.last
        self._batches.write(encode_frame(batch))
        await self._batches.drain()

    def prepare(self, begun: GenerationStart) -> None:
        """Let it prepare a configuration."""
        self._control.send_bytes(msgspec.msgpack.encode(Prepare(begun.generation)))
        reduction.send_handle(self._control, begun.config.descriptor, os.getpid())

    async def prepared(self, generation: int) -> None:
        """Wait until it has."""
        while Prepared(generation) not in self.messages:
            await asyncio.sleep(0)

    @property
    def messages(self) -> list[FromChild]:
        """What it has sent so far."""
        while self._control.poll():
            self._messages.append(decode_from_child(self._control.recv_bytes()))
        return self._messages

    async def processed(self, number: int) -> None:
        """Wait until this number of events is processed."""
        while self.process._shard.progress.position < number:
            await asyncio.sleep(0)

    @property
    def alarms(self) -> list[dict[str, object]]:
        """The alarm lines, in order."""
        return [json.loads(line) for one in self.reports for line in one.alarms.splitlines()]

    @property
    def last(self) -> WorkerReport:
        """The last report with counts."""
        return [one for one in self.reports if isinstance(one, WorkerReport)][-1]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(tmp_path, monkeypatch)


async def most_expired_in_a_turn(worker: Worker) -> int:
    """Let all backlogs expire; the largest number that were closed in one turn of the loop."""
    correlator, most = worker.process._shard.correlator, 0
    while (before := len(correlator)) > 1:  # the one that was opened last stays
        await asyncio.sleep(0)
        most = max(most, before - len(correlator))
    return most


def test_many_backlogs_expire_in_slices_before_the_next_event_each_alarm_once(
    worker: Worker,
) -> None:
    async def run() -> int:
        async with worker.running():
            for first in range(0, BACKLOGS, 1000):
                await worker.send(*(event(f"e{first + n}", 1, NOW) for n in range(1000)))
            await worker.processed(BACKLOGS)
            worker.clock.seconds += TIMEOUT + 10
            # It would be consumed by every backlog that is still open.
            await worker.send(event("late", 2, NOW + TIMEOUT), event("new", 1, NOW + TIMEOUT))
            most = await most_expired_in_a_turn(worker)
            await worker.processed(BACKLOGS + 2)
        return most

    most = asyncio.run(run())
    assert most <= 2 * ALARMS_PER_TURN  # of the batch that waits, and of the tick
    assert max(len(one.alarms) for one in worker.reports) <= LINES_BYTES
    counts = worker.last.ledger
    assert counts.backlogs["expired"] == BACKLOGS
    assert (counts.deliveries.consumed, counts.deliveries.unmatched) == (BACKLOGS + 1, 1)
    lines = worker.alarms
    per_alarm = Counter(line["alarm_id"] for line in lines)
    assert sorted(per_alarm.values()) == [1] + [2] * BACKLOGS
    ended = [line["rules"][1].get("status") for line in lines]  # type: ignore[index]
    assert ended == [None] * BACKLOGS + ["timeout"] * BACKLOGS + [None]


# Other configurations.


def outcome(worker: Worker) -> dict[str, int]:
    """How many backlogs were opened, and how they have ended."""
    return {name: number for name, number in worker.last.ledger.backlogs.items() if number}


def titles(worker: Worker) -> set[object]:
    return {line["title"] for line in worker.alarms}


def test_a_configuration_begins_at_its_batch_after_what_is_due_by_its_time(worker: Worker) -> None:
    """What has expired by then has a last line; what is removed has none."""

    async def run() -> None:
        async with worker.running():
            await worker.send(event("old", 1, NOW))
            worker.clock.seconds += 5
            await worker.send(event("young", 1, NOW + 5))
            worker.prepare(worker_generation(2, *configured(2, name="new")))
            await worker.prepared(2)
            await worker.processed(2)
            assert worker.process._shard.progress.generation == 1
            worker.clock.seconds = NOW + TIMEOUT + 2
            worker.generation = 2
            await worker.send()
            await worker.send(event("after", 1, NOW + TIMEOUT + 2))
            await worker.processed(3)

    asyncio.run(run())
    assert outcome(worker) == {"opened": 3, "expired": 1, "removed": 1, "open": 1}
    assert worker.last.generation == 2
    lines = worker.alarms
    ended = [line for line in lines if line["rules"][1].get("status")]  # type: ignore[index]
    assert [line["title"] for line in ended] == ["n"]
    assert Counter(line["title"] for line in lines) == {"n": 3, "new": 1}


def test_a_worker_that_missed_the_beginning_begins_with_the_events_that_follow(
    worker: Worker,
) -> None:
    async def run() -> None:
        async with worker.running():
            await worker.send(event("a", 1, NOW))
            for number, name in ((2, "second"), (3, "third")):
                worker.prepare(worker_generation(number, *configured(1, name=name)))
            worker.generation = 3
            await worker.send(event("b", 1, NOW))  # it may not be prepared yet
            worker.generation = 1  # no older one begins again
            await worker.send(event("c", 1, NOW))
            await worker.processed(3)

    asyncio.run(run())
    assert titles(worker) == {"n", "third"}
    assert outcome(worker) == {"opened": 3, "open": 3}
    assert worker.last.generation == 3


def test_a_worker_that_is_started_again_has_all_that_it_may_need(worker: Worker) -> None:
    generations = [worker_generation(n, *configured(1, name=f"{n}")) for n in (1, 2, 3)]
    worker.start = WorkerStart(0, "run", tuple(generations), is_first=False)

    async def run() -> None:
        async with worker.running():
            await worker.prepared(3)
            for generation in (1, 2, 3):
                worker.generation = generation
                await worker.send(event(f"e{generation}", 1, NOW))
            await worker.processed(3)

    asyncio.run(run())
    assert titles(worker) == {"1", "2", "3"}
    prepared = [message for message in worker.messages_at_end if isinstance(message, Prepared)]
    assert prepared == [Prepared(2), Prepared(3)]
    ready = [message for message in worker.messages_at_end if isinstance(message, Ready)]
    assert ready[0] == Ready(generation=1)
    assert (ready[-1].generation, bool(ready[-1].former)) == (3, True)
