"""A service whose configuration changes in one directive and is reloaded while events flow."""

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.cluster.nats_service import NatsService
from benchmarks.cluster.publisher import PublishReport
from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.latency.paced_publisher import PacedPlan
from benchmarks.latency.paced_run import run_timed
from benchmarks.reload.memory_sampler import MemorySampler, descendants
from benchmarks.support import synthetic
from benchmarks.support.service_process import machine_cpu_seconds
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer

FILE = "directives_bench_all.json"
REPEAT_SECONDS = 4.0
"""Time from the begin of a reload to that of the next one."""
AFTERWARDS_SECONDS = 1.0
"""Time after a reload that still counts as its time."""
_DEADLINE = 120.0


class Reload(Struct, frozen=True):
    """When a reload was asked for and when it was answered, on the monotonic clock."""

    asked: float
    answered: float

    @property
    def seconds(self) -> float:
        """Time that it took."""
        return self.answered - self.asked

    def has(self, at: float) -> bool:
        """Whether a time is within the reload, or shortly after it."""
        return self.asked <= at <= self.answered + AFTERWARDS_SECONDS


class TimedRun(Struct, frozen=True):
    """A run of evenly spaced events. `timed`: due time and latency of each line, in seconds.

    `other_cores`: cores that the rest of the machine used.
    """

    plan: PacedPlan
    report: PublishReport
    timed: Sequence[tuple[float, float]]
    reloads: Sequence[Reload]
    other_cores: float

    @property
    def lost(self) -> int:
        """Events without a line."""
        return self.report.matching - len(self.timed)

    def around_reloads(self) -> list[float]:
        """Latencies of the events that were due in the time of a reload."""
        return [latency for due, latency in self.timed if any(one.has(due) for one in self.reloads)]


class ChangingDirectives:
    """Documents of so many directives, one of which differs from document to document."""

    def __init__(self, count: int) -> None:
        document = synthetic.directives(count)
        self.changing = count // 2
        self._directives = msgspec.json.decode(document, type=dict[str, list[msgspec.Raw]])
        self._number = 0

    def next(self) -> bytes:
        """The next document."""
        self._number += 1
        items = self._directives["directives"]
        changed = msgspec.json.decode(items[self.changing - 1])
        changed["name"] = f"{changed['name'].partition(', change')[0]}, change {self._number}"
        items[self.changing - 1] = msgspec.Raw(msgspec.json.encode(changed))
        return msgspec.json.encode(self._directives)


class ReloadingService(NatsService):
    """A running service, and its reloads."""

    def __init__(self, server: NatsServer, frontend: Frontend, ops_port: int) -> None:
        super().__init__(server, frontend, f"--ops-port={ops_port}")
        self._frontend = frontend
        self._ops_port = ops_port

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        return self._process.pid

    def reload(self, directives: bytes, changed: int) -> Reload:
        """Reload with this document; RuntimeError unless just this directive has changed."""
        self._frontend.files[FILE] = directives
        connection = http.client.HTTPConnection("127.0.0.1", self._ops_port, timeout=_DEADLINE)
        with closing(connection):
            asked = time.monotonic()
            connection.request("POST", "/reload")
            answer = connection.getresponse()
            body = json.loads(answer.read())
            answered = time.monotonic()
        ids = {what: body["directives"][what]["ids"] for what in ("added", "changed", "removed")}
        if answer.status != 200 or ids != {"added": [], "changed": [changed], "removed": []}:
            raise RuntimeError(f"directive {changed} has not been reloaded: {answer.status} {body}")
        return Reload(asked, answered)

    def run_timed(
        self, plan: PacedPlan, documents: Sequence[bytes] = (), changed: int = 0
    ) -> TimedRun:
        """Publish a plan, and reload with each of these documents meanwhile."""

        def observe(
            publisher: PublisherProcess,
        ) -> tuple[float, tuple[PublishReport, list[Reload], float]]:
            used, machine, since = self._used(), machine_cpu_seconds(), time.monotonic()
            start = publisher.start()
            reloads = []
            for number, document in enumerate(documents):
                due = start + REPEAT_SECONDS / 2 + number * REPEAT_SECONDS
                time.sleep(max(0.0, due - time.monotonic()))
                reloads.append(self.reload(document, changed))
            report, _ = self._wait_for_run(publisher)
            used, machine = self._used() - used, machine_cpu_seconds() - machine
            others = max(0.0, machine - used - report.cpu) / (time.monotonic() - since)
            return start, (report, reloads, others)

        (report, reloads, others), timed = run_timed(plan, self.alarm_events, observe)
        return TimedRun(plan, report, timed, reloads, others)

    def _used(self) -> float:
        """CPU seconds of the service with all that it ever started, nats-server and benchmark."""
        pids = (*descendants(self.pid), self._server.pid)
        return sum(map(_cpu_seconds_with_ended, pids)) + time.process_time()

    @contextmanager
    def sampled(self, interval: float) -> Iterator[MemorySampler]:
        """Meanwhile the memory of all its processes is read."""
        with MemorySampler(self.pid, interval) as sampler:
            yield sampler


def _cpu_seconds_with_ended(pid: int) -> float:
    """CPU seconds of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / 100
