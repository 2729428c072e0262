"""Aggregates the ledgers of a service that reads a stream: nothing is lost with a process.

A router is sent what follows the last checkpoint of each worker. So what has been sent is what the
checkpoint held when the router started, and what the router has accepted since.
"""

from shards.ipc.messages import RouterReport
from shards.ledger import Ledger
from shards.supervisor.ledger_aggregator import LedgerAggregator


class StreamLedgerAggregator(LedgerAggregator):
    """As LedgerAggregator, for deliveries that can be read again."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._held = dict.fromkeys(range(workers), 0)
        """By worker: the number of deliveries whose effect its last checkpoint holds."""
        self._read = 0

    @property
    def read(self) -> int:
        """As in LedgerAggregator."""
        return self._read

    def checkpoint_holds(self, worker: int, processed: int) -> None:
        """As in LedgerAggregator."""
        self._held[worker] = processed

    def router_started(self) -> None:
        """As in LedgerAggregator."""
        for worker, lane in self._lanes.items():
            lane.closed = self._held[worker]

    def router_reported(self, report: RouterReport) -> None:
        """As in LedgerAggregator."""
        super().router_reported(report)
        self._read = max(self._read, report.read)

    def router_ended(self, life: int, unreported_seconds: float | None = None) -> None:
        """As in LedgerAggregator; the next router counts what this one has not reported."""
        del unreported_seconds
        self._past.deliveries.sent -= self._router.ledger.deliveries.sent
        super().router_ended(life)
        for lane in self._lanes.values():
            lane.ended.clear()

    def _close_lives(self, worker: int, before: int) -> None:
        """Nothing is lost: what a worker has not got, it will get."""

    def close(self) -> None:
        """As in LedgerAggregator; what no shard has got stays where it can be read again."""

    def total(self) -> Ledger:
        """As in LedgerAggregator."""
        ledger = super().total()
        ledger.deliveries.sent += sum(lane.closed for lane in self._lanes.values())
        return ledger
