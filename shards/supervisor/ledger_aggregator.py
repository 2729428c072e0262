"""The ledger over all processes, from what they report, through deaths and restarts.

Pure bookkeeping: told who said what and who is gone, it answers with the Ledger. A *link* is one
data pipe, from one life of the router to one life of a worker. Once both its ends are gone, what
was written into it and not done is lost.
"""

from copy import deepcopy

from msgspec import Struct

from shards.ipc.messages import QueueCounts, RouterReport, WorkerReport
from shards.ledger import Deliveries, Events, Feed, Ledger, LookupCounts


class _Link(Struct):
    """A data pipe: events written into it, and done; which of its ends will say no more of it."""

    worker: int
    written: int = 0
    done: int = 0
    router_final: bool = False
    worker_final: bool = False
    broken_by: str = "worker_died"

    @property
    def open(self) -> int:
        """Written and not done; below zero when the router has not said yet what it wrote."""
        return self.written - self.done


class LedgerAggregator:
    """Told of reports and deaths, in the order in which they come."""

    def __init__(self) -> None:
        self._past = Ledger()
        """What processes that are gone have done, and what became of settled links."""
        self._router = RouterReport(Events(), {}, {}, Feed())
        self._workers: dict[int, WorkerReport] = {}
        self._links: dict[int, _Link] = {}

    def link_opened(self, link: int, worker: int) -> None:
        """A data pipe from the router, as it is now, to a worker; numbers of links go up."""
        self._links[link] = _Link(worker)

    def router_reported(self, report: RouterReport) -> None:
        """Its totals. Of a link with a newer one to the same worker it will say no more."""
        self._router = report
        newest: dict[int, _Link] = {}
        for link in sorted(report.written.keys() & self._links.keys()):
            known = self._links[link]
            known.written = report.written[link]
            if known.worker in newest:
                newest[known.worker].router_final = True
            newest[known.worker] = known
        self._settle()

    def router_gone(self, unreported_seconds: float | None = None) -> None:
        """It has ended: so long after its last report, or None after it had told all."""
        last = self._router
        clean = unreported_seconds is None
        blamed = "worker_died" if clean else "router_died"
        _add_events(self._past.events, last.events)
        _add_feed(self._past.feed, last.feed)
        for queue in last.queues.values():
            _add_queue(self._past.deliveries, queue)
        self._past.unreported_seconds += unreported_seconds or 0.0
        waiting = {worker: queue.queued for worker, queue in last.queues.items()}
        for link in sorted(self._links, reverse=True):
            known = self._links[link]
            if not known.router_final:
                known.router_final = True
                known.broken_by = blamed
                known.written += waiting.pop(known.worker, 0)
        self._past.deliveries.lost[blamed] += sum(waiting.values())
        self._router = RouterReport(Events(), {}, {}, Feed())
        self._settle()

    def worker_reported(self, worker: int, report: WorkerReport) -> bool:
        """Its totals; returns whether it has taken events late since the report before."""
        before = self._workers.get(worker)
        self._workers[worker] = report
        for link, done in report.done.items():
            if link in self._links:
                self._links[link].done = done
        for link in report.ended:
            if link in self._links:
                self._links[link].worker_final = True
        self._settle()
        return report.late > (before.late if before else 0)

    def worker_gone(self, worker: int, *, clean: bool) -> None:
        """It has ended, and all that it could still say has been heard; `clean`: when told to."""
        report = self._workers.pop(worker, None)
        if report is not None:
            _add_worker(self._past, report)
            for counts in self._past.lookups.values():
                counts.end("worker_died")
            if not clean:
                self._past.backlogs["interrupted"] += report.backlogs.get("open", 0)
                self._past.backlogs["open"] -= report.backlogs.get("open", 0)
                self._past.rolled_back += report.consumed - report.saved
        for link in self._links.values():
            if link.worker == worker and not link.worker_final:
                link.worker_final = True
                link.broken_by = "worker_died"
        self._settle()

    def _settle(self) -> None:
        """Close the accounts of links that both ends have done with."""
        for number, link in list(self._links.items()):
            if link.router_final and link.worker_final:
                del self._links[number]
                self._count_open(self._past.deliveries, link, lost=True)

    def _count_open(self, deliveries: Deliveries, link: _Link, *, lost: bool) -> None:
        if link.open < 0:
            deliveries.sent -= link.open  # a router that died had not said that it sent them
        elif lost:
            deliveries.lost[link.broken_by] += link.open
        else:
            deliveries.in_flight += link.open

    @property
    def workers(self) -> dict[int, WorkerReport]:
        """The last report of each worker that lives."""
        return self._workers

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._router.connected

    def queue(self, worker: int) -> int:
        """Events that wait in the router for this worker."""
        queue = self._router.queues.get(worker)
        return queue.queued if queue else 0

    @property
    def queued(self) -> int:
        """Events that wait in the router."""
        return sum(queue.queued for queue in self._router.queues.values())

    def ledger(self) -> Ledger:
        """All counts as of the last reports."""
        ledger = deepcopy(self._past)
        _add_events(ledger.events, self._router.events)
        _add_feed(ledger.feed, self._router.feed)
        for queue in self._router.queues.values():
            _add_queue(ledger.deliveries, queue)
            ledger.deliveries.in_flight += queue.queued
        for link in self._links.values():
            self._count_open(ledger.deliveries, link, lost=False)
        for report in self._workers.values():
            _add_worker(ledger, report)
        return ledger


def _add_events(total: Events, more: Events) -> None:
    total.received += more.received
    total.routed += more.routed
    total.unmatched += more.unmatched
    total.elsewhere += more.elsewhere
    total.whitelisted += more.whitelisted
    total.invalid.update(more.invalid)
    total.dropped.update(more.dropped)


def _add_feed(total: Feed, more: Feed) -> None:
    total.lost += more.lost
    total.seconds_without += more.seconds_without
    total.cut += more.cut


def _add_queue(total: Deliveries, queue: QueueCounts) -> None:
    total.sent += queue.sent
    if queue.dropped:
        total.dropped["queue_full"] += queue.dropped


def _add_worker(total: Ledger, report: WorkerReport) -> None:
    total.deliveries.consumed += report.consumed
    total.deliveries.unmatched += report.unmatched
    total.deliveries.invalid.update(report.invalid)
    total.outcomes.update(report.outcomes)
    total.backlogs.update(report.backlogs)
    total.from_future += report.from_future
    total.late += report.late
    for source, counts in report.lookups.items():
        total.lookups.setdefault(source, LookupCounts()).add(counts)
