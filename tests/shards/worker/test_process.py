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

from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from shards.ipc.control import ControlChannel
from shards.ipc.framing import LINES_BYTES, encode_frame, read_report
from shards.ipc.messages import AlarmLines, AttachPipe, Batch, Stop, Synced, WorkerReport
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


def start() -> WorkerStart:
    rule = {"name": "r", "type": "PluginRule", "plugin_id": 1, "occurrence": 1, "from": "ANY"}
    rule |= {"to": "ANY", "reliability": 10, "timeout": TIMEOUT}
    rules = [rule | {"stage": 1, "plugin_sid": [1]}, rule | {"stage": 2, "plugin_sid": [2]}]
    document = msgspec.json.encode({"directives": [DIRECTIVE | {"rules": rules}]})
    directives = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(b'{"assets":[{"name":"lan","cidr":"10.0.0.0/8","value":5}]}')
    return WorkerStart(0, "run", (worker_generation(1, directives, assets),))


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

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it; at the end of the context send Stop, and wait for its end."""
        control, child_control = Pipe()
        reader, writer = make_pipe()
        reports = os.dup(reader.fileno())
        stream = await open_writer(os.dup(writer.fileno()))
        reader.close()
        writer.close()
        channel = ControlChannel(child_control)
        settings = Settings(
            log_dir=self._folder, checkpoint_interval=0, reload_backlogs=False, expiry_grace=10
        )
        self.process = process._WorkerProcess(channel, settings, stream, start())
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(self._collect(reports, control))
            group.create_task(self.process.run())
            await self._attach_pipe(control)
            yield
            assert self._batches is not None
            self._batches.close()
            control.send_bytes(msgspec.msgpack.encode(Stop()))
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
        )
        self._position = batch.last
        self._batches.write(encode_frame(batch))
        await self._batches.drain()

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
