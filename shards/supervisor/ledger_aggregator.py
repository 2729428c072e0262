"""Aggregates the ledgers of all processes over their deaths and restarts.

A data pipe connects one run of the router to one run of a worker. Once both ends are gone, what was
written to it and not processed is lost.
"""

from copy import deepcopy

from msgspec import Struct

from shards.ipc.messages import RouterReport, WorkerReport
from shards.ledger import Deliveries, Ledger, add_counts


class _DataPipe(Struct):
    """Events written to a data pipe and processed from it; whether its ends report no more."""

    worker: int
    written: int = 0
    processed: int = 0
    router_done: bool = False
    worker_done: bool = False
    lost_reason: str = "worker_died"

    @property
    def unprocessed(self) -> int:
        """Written minus processed; negative if the router has not reported all that it wrote."""
        return self.written - self.processed


class LedgerAggregator:
    """Takes reports and deaths in the order in which they happen; `total` is the ledger of all."""

    def __init__(self) -> None:
        self._past = Ledger()
        """The counts of processes that have ended, and of closed data pipes."""
        self._router = _no_report()
        self._workers: dict[int, WorkerReport] = {}
        self._pipes: dict[int, _DataPipe] = {}

    def pipe_opened(self, pipe: int, worker: int) -> None:
        """Add a data pipe from the present router to a worker; numbers of pipes increase."""
        self._pipes[pipe] = _DataPipe(worker)

    def router_reported(self, report: RouterReport) -> None:
        """Take the router's totals. It writes no more to a pipe once its worker has a newer one."""
        self._router = report
        newest: dict[int, _DataPipe] = {}
        for number in sorted(report.written.keys() & self._pipes.keys()):
            pipe = self._pipes[number]
            pipe.written = report.written[number]
            if pipe.worker in newest:
                newest[pipe.worker].router_done = True
            newest[pipe.worker] = pipe
        self._close_pipes()

    def router_ended(self, unreported_seconds: float | None = None) -> None:
        """The router has ended: that long after its last report, or None if it reported all."""
        last = self._router
        reason = "worker_died" if unreported_seconds is None else "router_died"
        add_counts(self._past, last.ledger)
        self._past.unreported_seconds += unreported_seconds or 0.0
        queued = dict(last.queued)
        for number in sorted(self._pipes, reverse=True):
            pipe = self._pipes[number]
            if not pipe.router_done:
                pipe.router_done = True
                pipe.lost_reason = reason
                pipe.written += queued.pop(pipe.worker, 0)
        self._past.deliveries.lost[reason] += sum(queued.values())
        self._router = _no_report()
        self._close_pipes()

    def worker_reported(self, worker: int, report: WorkerReport) -> bool:
        """Take a worker's totals; returns whether it took late events since its last report."""
        before = self._workers.get(worker)
        self._workers[worker] = report
        for number, processed in report.processed.items():
            if number in self._pipes:
                self._pipes[number].processed = processed
        for number in report.ended_pipes:
            if number in self._pipes:
                self._pipes[number].worker_done = True
        self._close_pipes()
        return report.ledger.late > (before.ledger.late if before else 0)

    def worker_ended(self, worker: int, *, clean: bool) -> None:
        """A worker has ended and all its reports have been taken; `clean`: after a Stop."""
        report = self._workers.pop(worker, None)
        if report is not None:
            add_counts(self._past, report.ledger)
            for counts in self._past.lookups.values():
                counts.end("worker_died")
            if not clean:
                interrupted = report.ledger.backlogs["open"]
                self._past.backlogs["interrupted"] += interrupted
                self._past.backlogs["open"] -= interrupted
                consumed = report.ledger.deliveries.consumed
                self._past.rolled_back += consumed - report.in_checkpoint
        for pipe in self._pipes.values():
            if pipe.worker == worker and not pipe.worker_done:
                pipe.worker_done = True
                pipe.lost_reason = "worker_died"
        self._close_pipes()

    def _close_pipes(self) -> None:
        """Count what is lost in the pipes whose both ends report no more."""
        for number, pipe in list(self._pipes.items()):
            if pipe.router_done and pipe.worker_done:
                del self._pipes[number]
                _count_unprocessed(self._past.deliveries, pipe, lost=True)

    @property
    def workers(self) -> dict[int, WorkerReport]:
        """The last report of each living worker."""
        return self._workers

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._router.connected

    def queue_length(self, worker: int) -> int:
        """Events in the router's send queue of a worker."""
        return self._router.queued.get(worker, 0)

    def has_waiting_events(self, worker: int) -> bool:
        """Whether events wait for a worker, in its send queue or in its data pipes."""
        pipes = (pipe for pipe in self._pipes.values() if pipe.worker == worker)
        return self.queue_length(worker) > 0 or any(pipe.unprocessed > 0 for pipe in pipes)

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
        ledger.deliveries.in_flight += self.queued
        for pipe in self._pipes.values():
            _count_unprocessed(ledger.deliveries, pipe, lost=False)
        for report in self._workers.values():
            add_counts(ledger, report.ledger)
        return ledger


def _no_report() -> RouterReport:
    return RouterReport(Ledger(), {}, {})


def _count_unprocessed(deliveries: Deliveries, pipe: _DataPipe, *, lost: bool) -> None:
    if pipe.unprocessed < 0:
        deliveries.sent -= pipe.unprocessed  # a router that died had not reported them as sent
    elif lost:
        deliveries.lost[pipe.lost_reason] += pipe.unprocessed
    else:
        deliveries.in_flight += pipe.unprocessed
