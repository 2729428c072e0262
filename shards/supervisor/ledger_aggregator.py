"""Aggregates the ledgers of all processes over their deaths and restarts.

With checkpoints a worker goes on counting where its last checkpoint was, since it gets what came
after that again: so the last report of a dead worker counts until its successor reports. What a
router has sent and its shard has not processed is in flight; once the router has ended and the
worker has read its pipe to the end, it is lost.
"""

import sys
from collections import Counter
from copy import deepcopy

from msgspec import Struct, field

from shards.ipc.messages import RouterReport, WorkerReport
from shards.ledger import FORMER, ROUTER_DIED, WORKER_DIED, Ledger, add_counts
from shards.positions import base_of, life_of

MAX_PAST_SOURCES = 256
"""Lookup sources of workers that have ended, beyond which the first ones are merged."""


class _Lane(Struct):
    """Deliveries to one worker over all lives of it and of the router.

    `ended`: by life of a router that has ended, what it had put on the send queue and not lost;
    `closed`: of those before, what workers have got. `processed`: by workers that have ended and
    whose counts no checkpoint has. `life`: the router whose deliveries the worker takes. `reason`:
    of what is lost from routers that have ended. `had`: the most that a worker had processed when
    it died, with deliveries of the life `had_life`.
    """

    ended: Counter[int] = field(default_factory=Counter)
    closed: int = 0
    processed: int = 0
    life: int = 0
    reason: str = ROUTER_DIED
    had: int = 0
    had_life: int = 0


class LedgerAggregator:
    """Takes reports and deaths in the order in which they happen; `total` is the ledger of all."""

    def __init__(self, workers: int, *, has_checkpoints: bool = True) -> None:
        """`workers`: their number; `has_checkpoints`: a worker goes on counting after a death."""
        self._has_checkpoints = has_checkpoints
        self._past = Ledger()
        """The counts of processes that have ended and whose successors begin at zero."""
        self._router = _no_report()
        self._workers: dict[int, WorkerReport] = {}
        self._lanes = {worker: _Lane() for worker in range(workers)}

    def add(self, counts: Ledger) -> None:
        """Add counts of the supervisor's own."""
        add_counts(self._past, counts)

    def router_reported(self, report: RouterReport) -> None:
        """Take the router's totals."""
        self._router = report

    @property
    def read(self) -> int:
        """With a stream: the position up to which its events have been counted."""
        return 0

    def router_started(self) -> None:
        """A router starts; with a stream it reads what follows the checkpoints of the workers."""

    def checkpoint_holds(self, worker: int, processed: int) -> None:
        """The last checkpoint of a worker holds the effect of so many deliveries."""

    def router_ended(self, life: int, unreported_seconds: float | None = None) -> None:
        """The router has ended: that long after its last report, or None if it reported all.

        `life`: its number among those of this run.
        """
        last = self._router
        add_counts(self._past, last.ledger)
        self._past.unreported_seconds += unreported_seconds or 0.0
        for worker, lane in self._lanes.items():
            lane.ended[life] += last.accepted.get(worker, 0) - last.lost.get(worker, 0)
            lane.reason = WORKER_DIED if unreported_seconds is None else ROUTER_DIED
        self._router = _no_report()

    def worker_reported(self, worker: int, report: WorkerReport) -> bool:
        """Take a worker's totals; returns whether it took late events since its last report."""
        before = self._workers.get(worker)
        self._workers[worker] = report
        lane = self._lanes[worker]
        if report.life > lane.life:
            lane.life = report.life
            if life_of(report.position) < report.life:
                self._close_lives(worker, report.life)
            if lane.had_life < report.life:
                lane.had_life = 0
        return report.late > (before.late if before else 0)

    def _close_lives(self, worker: int, before: int) -> None:
        """Count as lost what routers before this life had sent, and the worker has not got.

        A router may also have sent more than it had reported when it died. What a worker that died
        had got, and its successor does not get again, is rolled back: its lines are written.
        """
        lane = self._lanes[worker]
        got = max(lane.closed, lane.had if 0 < lane.had_life < before else 0)
        for life in [life for life in lane.ended if life < before]:
            lane.closed += lane.ended.pop(life)
        if got > lane.closed:
            self._past.deliveries.sent += got - lane.closed
            lane.closed = got
        self._past.rolled_back += max(0, got - self._processed(worker))
        missing = lane.closed - self._processed(worker)
        lane.closed -= missing
        if missing < 0:
            self._past.deliveries.sent -= missing
        elif missing:
            self._past.deliveries.lost[lane.reason] += missing

    def _processed(self, worker: int) -> int:
        """Deliveries that a shard has processed, as far as reports and checkpoints know."""
        report = self._workers.get(worker)
        now = report.ledger.deliveries.processed if report else 0
        return self._lanes[worker].processed + now

    def worker_ended(self, worker: int, *, clean: bool) -> None:
        """A worker has ended and all its reports have been taken; `clean`: after a Stop."""
        report = self._workers.get(worker)
        if report is None:
            return
        for counts in report.ledger.lookups.values():
            counts.end(WORKER_DIED)
        lane = self._lanes[worker]
        if clean:
            return
        if self._has_checkpoints:
            if lane.life:
                had_before = lane.had if lane.had_life == lane.life else 0
                lane.had = max(self._processed(worker), had_before)
                lane.had_life = lane.life
            lane.life = 0  # its successor says anew whose deliveries it takes
            self._add_past(Ledger(lookups=report.ledger.lookups))
            report.ledger.lookups = {}
            return
        lane.life = 0
        del self._workers[worker]
        lane.processed += report.ledger.deliveries.processed
        self._add_past(report.ledger)
        interrupted = report.ledger.backlogs["open"]
        self._past.backlogs["interrupted"] += interrupted
        self._past.backlogs["open"] -= interrupted
        self._past.rolled_back += report.ledger.deliveries.consumed

    def _add_past(self, ledger: Ledger) -> None:
        """Add the counts of a worker that has ended; reloads may bring ever new lookup sources."""
        add_counts(self._past, ledger)
        past = self._past.lookups
        while len(past) > MAX_PAST_SOURCES:
            first = next(name for name in past if name != FORMER)
            add_counts(self._past, Ledger(lookups={FORMER: past.pop(first)}))

    def close(self) -> None:
        """No more reports come: count as lost what no shard has got."""
        for worker, lane in self._lanes.items():
            report = self._workers.get(worker)
            if lane.life == 0 and report is not None:  # it died, and has not been started again
                since = report.position - max(report.saved, base_of(report.life))
                self._past.rolled_back += max(0, since)
            self._close_lives(worker, sys.maxsize)

    @property
    def workers(self) -> dict[int, WorkerReport]:
        """The last report of each worker, or of the one before it."""
        return self._workers

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._router.connected

    @property
    def lag(self) -> int:
        """Messages of a stream that the router has not read."""
        return self._router.lag

    def queue_length(self, worker: int) -> int:
        """Events in the router's send queue of a worker."""
        return self._router.queued.get(worker, 0)

    def in_flight(self, worker: int) -> int:
        """Deliveries that a worker will get; below 0 if the router has not reported all."""
        lane, router = self._lanes[worker], self._router
        sent = router.accepted.get(worker, 0) - router.lost.get(worker, 0)
        return lane.closed + lane.ended.total() + sent - self._processed(worker)

    def has_waiting_events(self, worker: int) -> bool:
        """Whether a worker has been sent events that it has not processed.

        Those in the send queue may wait for a checkpoint, and without a router nothing comes.
        """
        is_connected = worker in self._router.accepted and self.has_pipe(worker)
        return is_connected and self.in_flight(worker) > self.queue_length(worker)

    def has_pipe(self, worker: int) -> bool:
        """Whether the router has a data pipe to a worker."""
        return worker not in self._router.without_pipe

    @property
    def queued(self) -> int:
        """Events in all send queues of the router."""
        return sum(self._router.queued.values())

    def total(self) -> Ledger:
        """The ledger of all processes, as of their last reports."""
        ledger = deepcopy(self._past)
        add_counts(ledger, self._router.ledger)
        for worker in self._lanes:
            in_flight = self.in_flight(worker)
            if in_flight < 0:
                ledger.deliveries.sent -= in_flight
            else:
                ledger.deliveries.in_flight += in_flight
        for report in self._workers.values():
            add_counts(ledger, report.ledger)
        return ledger


def _no_report() -> RouterReport:
    return RouterReport(Ledger(), {}, {}, {})
