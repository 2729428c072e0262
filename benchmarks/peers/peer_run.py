"""One run: a peer on one workload, from its start to its end, and its figures."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.peers.peer import OURS, Peer
from benchmarks.peers.running_peer import PeerObservation, RunningPeer
from benchmarks.peers.workloads import Batch, Config, Feed, Workload
from benchmarks.support.service_process import cpu_seconds, machine_seconds
from tests.support.frontend import Frontend, Reply, list_of
from tests.support.nats_server import NatsServer, Publisher

_PATIENT = ("max_pending: 2GB", 'write_deadline: "60s"')
"""The nats-server cuts nobody who takes a while."""
_SHORT = 3.0
"""Seconds under which a run says little, so that more events follow."""
_MOST = {OURS: 1_000_000}
_MOST_OF_PEERS = 60_000
"""Events at once: the NATS clients of peers hold 65,536 messages, or 64 MB, and drop the rest."""


class RunLimits(Struct, frozen=True):
    """How much is done: events at first, seconds that a longer run should take, and may."""

    events: int
    seconds: float
    limit: float


class Run(Struct, frozen=True):
    """How it went: `events` are those published, `rate` those that came through in a second.

    `lost`: matching events without a line. `alarm_events`, `alarms`: lines. `pss_mb`: at most, with
    as many events as every other contender was given; `pss_all_mb`: with those that followed, too.
    `others`: cores that the rest of the machine used meanwhile.
    """

    dimension: str
    value: int
    contender: str
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
    others: float = 0.0


@contextmanager
def cluster(
    contender: Peer, config: Config, workers: int
) -> Iterator[tuple[RunningPeer, NatsServer]]:
    """The contender running as a backend, with a nats-server and a frontend of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(NatsServer(folder, *_PATIENT))
        frontend = stack.enter_context(Frontend())
        frontend.files.update(config)
        frontend.replies["/config"] = Reply(body=list_of(*config))  # as Dsiem in Go asks for it
        running = stack.enter_context(RunningPeer(contender, workers, frontend, server))
        yield running, server


def run(site: Workload, contender: Peer, repeat: int, effort: RunLimits) -> Run:
    """One run: every pair's backlog is opened, then come the events that are measured.

    `PeerError` when it does not start.
    """
    blank = Run(site.dimension, site.value, contender.name, repeat)
    with cluster(contender, site.config(), site.workers) as (running, server):
        trial = _Trial(running, server, effort.limit)
        feed = Feed(site)
        opened = trial.under(feed.opening(), blank, opening=True)
        if not opened.finished:
            return replace(opened, note=f"still opening backlogs, {opened.note}")
        missing = f"{opened.lost:,} backlogs were not opened" if opened.lost else ""
        first = trial.under(feed.batch(2, effort.events), blank)
        more = _more(contender, first, effort)
        if not more:
            return replace(first, note=_joined(missing, first.note))
        second = trial.under(feed.batch(3, more), blank)
        early = f"the first {first.events:,} at {first.rate:,.0f}/s"
        lost, note = first.lost + second.lost, _joined(missing, early, second.note)
        return replace(second, pss_mb=first.pss_mb, lost=lost, note=note)


def _more(contender: Peer, first: Run, effort: RunLimits) -> int:
    """How many events follow, of the same kind: as many as it takes some seconds for."""
    if not first.finished or first.seconds > min(_SHORT, effort.seconds):
        return 0
    most = _MOST.get(contender.name, _MOST_OF_PEERS)
    return min(max(int(first.rate * effort.seconds), effort.events), most)


class _Trial:
    """A running contender that is given batches of events."""

    def __init__(self, running: RunningPeer, server: NatsServer, limit: float) -> None:
        self._running, self._server, self._limit = running, server, limit

    def under(self, batch: Batch, blank: Run, opening: bool = False) -> Run:
        """Publish a batch all at once, and watch until it is done."""
        running = self._running
        lines, alarms = running.lines.count(), running.alarms.count()
        publishing = Thread(target=_publish, args=(self._server.port, batch), daemon=True)
        cpu, busy = running.cpu(), self._busy(running.cpu())
        start = time.monotonic()
        publishing.start()
        enough = lines + batch.matching if opening else None
        seen = running.watch(start, cpu, self._limit, enough)
        others = max(0.0, self._busy(running.cpu()) - busy) / (seen.end - start)
        ids = running.ids(batch.mark)
        there = len(set(ids))
        finished = seen.quiet and there > 0
        came = batch.events * there / batch.matching
        last = seen.end if not finished else seen.last_line or seen.last_busy
        peak = running.peak / 1e6
        return replace(
            blank,
            events=batch.events,
            rate=came / (last - start),
            cpu_micros=seen.cpu * 1e6 / max(1.0, came),
            pss_mb=peak,
            pss_all_mb=peak,
            alarm_events=running.lines.count() - lines,
            alarms=running.alarms.count() - alarms,
            lost=batch.matching - there,
            finished=finished,
            seconds=last - start,
            note=self._note(batch, seen, finished, came, len(ids) - there),
            others=others,
        )

    def _busy(self, contender: float) -> float:
        """CPU seconds of the machine so far that are of none of what is needed here."""
        known = contender + cpu_seconds(self._server.pid) + time.process_time()
        return machine_seconds() - known

    def _note(
        self, batch: Batch, seen: PeerObservation, finished: bool, came: float, twice: int
    ) -> str:
        """What is odd about it."""
        running = self._running
        passed = seen.end - seen.start
        after = seen.last_busy - (seen.last_line or seen.last_busy)
        cut = self._server.monitor("varz")["slow_consumers"]
        notes = {
            f"not finished: {came:,.0f} of {batch.events:,} events after {passed:,.0f} s": (
                not finished
            ),
            f"it ended: {running.last_words()}": not running.alive,
            f"{twice:,} lines more than events": twice,
            f"at work for {after:.1f} s after the last line": after > 1.0,
            f"NATS cut it {cut} times": cut,
        }
        return _joined(*(text for text, true in notes.items() if true))


def _publish(port: int, batch: Batch) -> None:
    with Publisher(port) as publisher:
        for pieces in batch.slices:
            publisher.send(b"".join(pieces))
        publisher.flush()


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)
