"""A backend under test, with a nats-server and a frontend of its own; what it makes of events."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from msgspec import Struct

from benchmarks.cluster.publisher import Plan, PublishReport
from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.peers.backend import Backend
from benchmarks.peers.running_backend import BackendStartError, RunningBackend
from benchmarks.peers.workloads import SUBJECT, Config, Workload
from benchmarks.support.service_process import cpu_seconds, machine_cpu_seconds
from tests.support.frontend import Frontend, Reply, list_of
from tests.support.jetstream import on_disk
from tests.support.nats_server import NatsServer, Publisher, free_port

_NATS_OPTIONS = ("max_pending: 2GB", 'write_deadline: "60s"')
"""With these the nats-server does not disconnect slow clients."""
_START_TIMEOUT = 120.0
"""Seconds until a backend must have written the line of a probe."""
_PROBE_INTERVAL = 0.02
_POLL_SECONDS = 0.01
_OPENING_CHUNK = 100
"""Opening events on the way at the same time: fewer than any NATS client or queue holds."""
_OPENING_ATTEMPTS = 3
Probe = Callable[[int], bytes]
"""Returns the NATS frame of the probe with this number: an event that gets a line."""


class Options(Struct, frozen=True):
    """What holds for all runs.

    `seconds`: of events in a run; `limit`: seconds for opening the backlogs, and for working on
    after the last event; `unbounded`: queues without a limit; `quick`: fewer and shorter runs.
    """

    seconds: float
    limit: float
    unbounded: bool = False
    quick: bool = False


class Opening(Struct, frozen=True):
    """The opening of backlogs: of `pairs`, `opened` have one; `repeated` needed another event."""

    pairs: int
    opened: int
    repeated: int
    seconds: float

    @property
    def note(self) -> str:
        """What was unusual; may be empty."""
        if self.opened < self.pairs:
            count = f"{self.opened:,} of {self.pairs:,} backlogs"
            return f"only {count} were opened in {self.seconds:.0f} s"
        if self.repeated:
            count = f"{self.repeated:,} of {self.pairs:,} backlogs"
            return f"{count} were opened by another event only, as the first was lost"
        return ""


class Passage(Struct, frozen=True):
    """What became of the events of a plan.

    `start`: the time on the monotonic clock at which event 0 was due; `last_line`: that of the last
    new line; the end of publishing, if none came after it. `lines`: matching events that have a
    line; `repeated`: further lines of them. `settled`: the backend was done, so that the other
    matching events are lost; else it was still at work at the limit, or it has ended. `cpu`: CPU
    seconds of its processes. `other_cores`: cores that the rest of the machine used.
    """

    report: PublishReport
    start: float
    last_line: float
    lines: int
    repeated: int
    settled: bool
    cpu: float
    other_cores: float

    @property
    def lost(self) -> int:
        """Matching events without a line, when none will come."""
        return self.report.matching - self.lines if self.settled else 0

    @property
    def pending(self) -> int:
        """Matching events without a line, of which it is not known whether they are lost."""
        return 0 if self.settled else self.report.matching - self.lines

    @property
    def cpu_micros(self) -> float:
        """CPU microseconds per event that came through."""
        through = self.report.published * self.lines / self.report.matching
        return self.cpu * 1e6 / max(1.0, through)


class TestBed:
    """A running backend that has subscribed to the events, and has written the line of a probe.

    `start_seconds`: from its start until it had subscribed; `ready_seconds`: until the line.
    """

    __test__ = False

    def __init__(
        self, backend: Backend, config: Config, probe: Probe, workers: int, unbounded: bool
    ) -> None:
        self._backend, self._probe, self._config = backend, probe, config
        self._workers, self._unbounded = workers, unbounded
        self._stack = ExitStack()

    @classmethod
    def of(cls, backend: Backend, workload: Workload, options: Options) -> Self:
        """The test bed for a workload."""
        before, after = workload.opening_frames()[0]

        def probe(number: int) -> bytes:
            return before + b"00000000-0000-4000-8000-%012x" % number + after

        return cls(backend, workload.config(), probe, workload.workers, options.unbounded)

    def __enter__(self) -> Self:
        with self._stack:  # undone when anything fails
            folder = Path(self._stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
            stream = [on_disk(folder / "store")] if self._backend.stream else []
            self.server = self._stack.enter_context(NatsServer(folder, *_NATS_OPTIONS, *stream))
            frontend = self._stack.enter_context(Frontend())
            frontend.files.update(self._config)
            names = list_of(*self._config)
            frontend.replies["/config"] = Reply(body=names)  # the path that Dsiem requests
            self._urls = {"frontend": frontend.url, "msq": self.server.url}
            self._publisher = self._stack.enter_context(Publisher(self.server.port))
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.running.__exit__()
        self._stack.close()

    def restart(self) -> None:
        """Replace the backend with a new one in an empty folder."""
        self.running.__exit__()
        self._start()

    def _start(self) -> None:
        environment = self._backend.environment(
            self._workers, self._urls, free_port(), self._unbounded
        )
        self.running = RunningBackend(self._backend, environment)
        try:
            self._wait_until_ready()
        except BaseException:
            self.running.__exit__()
            raise

    def _wait_until_ready(self) -> None:
        """Wait for the subscription, and then for the line of a probe."""
        running, deadline = self.running, self.running.started + _START_TIMEOUT
        while not self._backend.stream and not self.server.subscribers(SUBJECT):
            self._check_start(deadline, "it has not subscribed")
            time.sleep(_POLL_SECONDS)
        self.start_seconds = time.monotonic() - running.started
        sent, send_at = 0, 0.0
        while not running.alarm_events.count_lines():
            self._check_start(deadline, "it has subscribed, and writes no line for an event")
            if time.monotonic() >= send_at:
                self._publisher.send(self._probe(sent))
                sent, send_at = sent + 1, time.monotonic() + _PROBE_INTERVAL
            time.sleep(_POLL_SECONDS)
        self.ready_seconds = time.monotonic() - running.started
        running.wait_for_lines(sent, _START_TIMEOUT)

    def _check_start(self, deadline: float, state: str) -> None:
        self.running.check_alive()
        if time.monotonic() > deadline:
            error = self.running.last_error()
            raise BackendStartError(f"{state} within {_START_TIMEOUT:g} s: {error}")

    def open_backlogs(self, workload: Workload, limit: float) -> Opening:
        """Open the backlog of every pair, at the rate that the backend takes: few at a time.

        The events of backlogs that were not opened are repeated, twice at most.
        """
        since, offset = time.monotonic(), self.running.alarm_events.size
        frames = workload.opening_frames()
        remaining = list(range(len(frames)))
        repeated = 0
        for attempt in range(_OPENING_ATTEMPTS):
            for first in range(0, len(remaining), _OPENING_CHUNK):
                chunk = remaining[first : first + _OPENING_CHUNK]
                lines = self.running.alarm_events.count_lines() + len(chunk)
                self._publisher.send(b"".join(_opening(frames, attempt, pair) for pair in chunk))
                left = limit - (time.monotonic() - since)
                if left < 0 or not self.running.alive:
                    break
                try:
                    self.running.wait_for_lines(lines, left)
                except TimeoutError:
                    break
            opened = {
                int(event_id[24:], 16)
                for event_id in self.running.alarm_events.event_ids("00000001-", offset)
            }
            remaining = [pair for pair in range(len(frames)) if pair not in opened]
            if not remaining or time.monotonic() - since > limit:
                break
            repeated = max(repeated, len(remaining))
        seconds = time.monotonic() - since
        return Opening(len(frames), len(frames) - len(remaining), repeated, seconds)

    def observe(
        self,
        plan: Plan,
        publisher: PublisherProcess,
        limit: float,
        meanwhile: Callable[[float], None] = lambda elapsed: None,
    ) -> Passage:
        """Publish a plan, and wait until each matching event has a line, or no more lines come.

        `meanwhile` is called often with the seconds since the start, until all is published.
        """
        running = self.running
        offset, lines = running.alarm_events.size, running.alarm_events.count_lines()
        cpu, others, since = running.cpu(), self._other_cpu(running.cpu()), time.monotonic()
        start = publisher.start()
        while not publisher.ended:
            meanwhile(time.monotonic() - start)
            running.alarm_events.count_lines()
            time.sleep(_POLL_SECONDS)
        report = publisher.report()
        last_line, settled = self._wait(lines + report.matching, limit)
        used, seconds = running.cpu(), time.monotonic() - since
        others = self._other_cpu(used) - others - report.cpu
        ids = running.alarm_events.event_ids(plan.id_prefix, offset)
        if settled and len(set(ids)) < report.matching:  # there were lines of other events
            late, settled = self._wait(lines + len(ids) + report.matching, limit)
            last_line = late or last_line
            ids = running.alarm_events.event_ids(plan.id_prefix, offset)
        return Passage(
            report=report,
            start=start,
            last_line=last_line or report.end,
            lines=len(set(ids)),
            repeated=len(ids) - len(set(ids)),
            settled=settled,
            cpu=used - cpu,
            other_cores=max(0.0, others / seconds),
        )

    def _wait(self, lines: int, limit: float) -> tuple[float | None, bool]:
        """The time of the last line, and whether the backend is done and still running."""
        try:
            last_line = self.running.wait_for_lines(lines, limit)
        except TimeoutError:
            return time.monotonic(), False
        return last_line, self.running.alive

    def _other_cpu(self, backend: float) -> float:
        """CPU seconds of the machine so far, without backend, nats-server and this process."""
        return machine_cpu_seconds() - backend - cpu_seconds(self.server.pid) - time.process_time()


def _opening(frames: Sequence[tuple[bytes, bytes]], attempt: int, pair: int) -> bytes:
    before, after = frames[pair]
    return before + b"00000001-%04x-4000-8000-%012x" % (attempt, pair) + after
