"""One run: a backend on one workload, from its start to its end, and its figures."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from msgspec import Struct, field
from msgspec.structs import replace

from benchmarks.peers.backend import OURS, Backend
from benchmarks.peers.running_backend import Observation, RunningBackend
from benchmarks.peers.workloads import Batch, Config, EventFeed, Workload
from benchmarks.support.service_process import cpu_seconds, machine_cpu_seconds
from tests.support.frontend import Frontend, Reply, list_of
from tests.support.nats_server import NatsServer, Publisher

_NATS_OPTIONS = ("max_pending: 2GB", 'write_deadline: "60s"')
"""With these the nats-server does not disconnect slow clients."""
_SHORT_RUN = 3.0
"""Seconds; after a shorter run more events follow."""
_MAX_EVENTS = {OURS: 1_000_000}
_MAX_EVENTS_OF_PEERS = 60_000
"""Events at once: the NATS clients of peers hold 65,536 messages, or 64 MB, and drop the others."""


class RunLimits(Struct, frozen=True):
    """Number of events at first, seconds to aim at for a longer run, and seconds it may take."""

    events: int
    seconds: float
    limit: float


class Run(Struct, frozen=True):
    """The figures of a run, as in compare.json.

    `events`: published; `rate`: events per second that came through. `lost`: matching events
    without a line. `alarm_events`, `alarms`: lines. `pss_mb`: highest memory with the first events,
    of which all backends get the same number; `pss_all_mb`: with the events that followed, too.
    `other_cores`: cores that the rest of the machine used.
    """

    dimension: str
    value: int
    backend: str = field(name="contender")
    repeat: int
    events: int = 0
    rate: float = 0.0
    cpu_micros: float = 0.0
    pss_mb: float = 0.0
    alarm_events: int = 0
    alarms: int = 0
    lost: int = 0
    finished: bool = False
    seconds: float = 0.0
    note: str = ""
    pss_all_mb: float = 0.0
    other_cores: float = field(default=0.0, name="others")


@contextmanager
def running_backend(
    backend: Backend, config: Config, workers: int
) -> Iterator[tuple[RunningBackend, NatsServer]]:
    """A running backend with a nats-server and a frontend of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(NatsServer(folder, *_NATS_OPTIONS))
        frontend = stack.enter_context(Frontend())
        frontend.files.update(config)
        frontend.replies["/config"] = Reply(body=list_of(*config))  # the path that Dsiem requests
        running = stack.enter_context(RunningBackend(backend, workers, frontend, server))
        yield running, server


def run_workload(workload: Workload, backend: Backend, repeat: int, limits: RunLimits) -> Run:
    """Open the backlog of every pair, then measure the events of the workload.

    Raises BackendStartError when the backend does not start.
    """
    blank = Run(workload.dimension, workload.value, backend.name, repeat)
    with running_backend(backend, workload.config(), workload.workers) as (running, server):
        measurement = _Measurement(running, server, limits.limit)
        feed = EventFeed(workload)
        opening = measurement.run(feed.opening_batch(), blank, opening=True)
        if not opening.finished:
            return replace(opening, note=f"still opening backlogs, {opening.note}")
        missing = f"{opening.lost:,} backlogs were not opened" if opening.lost else ""
        first = measurement.run(feed.batch(2, limits.events), blank)
        more = _further_events(backend, first, limits)
        if not more:
            return replace(first, note=_joined(missing, first.note))
        second = measurement.run(feed.batch(3, more), blank)
        early = f"the first {first.events:,} at {first.rate:,.0f}/s"
        lost, note = first.lost + second.lost, _joined(missing, early, second.note)
        return replace(second, pss_mb=first.pss_mb, lost=lost, note=note)


def _further_events(backend: Backend, first: Run, limits: RunLimits) -> int:
    """Number of events to publish after a short first run, for `limits.seconds`; 0 for none."""
    if not first.finished or first.seconds > min(_SHORT_RUN, limits.seconds):
        return 0
    maximum = _MAX_EVENTS.get(backend.name, _MAX_EVENTS_OF_PEERS)
    return min(max(int(first.rate * limits.seconds), limits.events), maximum)


class _Measurement:
    """Publishes batches of events to a running backend, and measures it."""

    def __init__(self, running: RunningBackend, server: NatsServer, limit: float) -> None:
        self._running, self._server, self._limit = running, server, limit

    def run(self, batch: Batch, blank: Run, opening: bool = False) -> Run:
        """Publish a batch all at once, and observe the backend until it is done.

        `blank`: a Run without figures; `opening`: done when every event has a line.
        """
        running = self._running
        lines, alarms = running.alarm_events.count_lines(), running.alarms.count_lines()
        publisher = Thread(target=_publish, args=(self._server.port, batch), daemon=True)
        cpu, other_cpu = running.cpu(), self._other_cpu(running.cpu())
        start = time.monotonic()
        publisher.start()
        expected_lines = lines + batch.matching if opening else None
        seen = running.observe(start, cpu, self._limit, expected_lines)
        other_cpu = max(0.0, self._other_cpu(running.cpu()) - other_cpu)
        ids = running.event_ids(batch.id_prefix)
        distinct = len(set(ids))
        finished = seen.done and distinct > 0
        processed = batch.events * distinct / batch.matching
        end = (seen.last_line or seen.last_busy) if finished else seen.end
        peak = running.peak_memory / 1e6
        return replace(
            blank,
            events=batch.events,
            rate=processed / (end - start),
            cpu_micros=seen.cpu * 1e6 / max(1.0, processed),
            pss_mb=peak,
            pss_all_mb=peak,
            alarm_events=running.alarm_events.count_lines() - lines,
            alarms=running.alarms.count_lines() - alarms,
            lost=batch.matching - distinct,
            finished=finished,
            seconds=end - start,
            note=self._note(batch, seen, finished, processed, len(ids) - distinct),
            other_cores=other_cpu / (seen.end - start),
        )

    def _other_cpu(self, backend: float) -> float:
        """CPU seconds of the machine so far, without backend, nats-server and this process."""
        known = backend + cpu_seconds(self._server.pid) + time.process_time()
        return machine_cpu_seconds() - known

    def _note(
        self, batch: Batch, seen: Observation, finished: bool, processed: float, repeated: int
    ) -> str:
        """Unusual observations of the run, as text; may be empty."""
        running = self._running
        seconds = seen.end - seen.start
        after = seen.last_busy - (seen.last_line or seen.last_busy)
        cuts = self._server.monitor("varz")["slow_consumers"]
        notes = {
            f"not finished: {processed:,.0f} of {batch.events:,} events after {seconds:,.0f} s": (
                not finished
            ),
            f"it ended: {running.last_error()}": not running.alive,
            f"{repeated:,} lines more than events": repeated,
            f"at work for {after:.1f} s after the last line": after > 1.0,
            f"NATS cut it {cuts} times": cuts,
        }
        return _joined(*(text for text, applies in notes.items() if applies))


def _publish(port: int, batch: Batch) -> None:
    with Publisher(port) as publisher:
        for pieces in batch.slices:
            publisher.send(b"".join(pieces))
        publisher.flush()


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)
