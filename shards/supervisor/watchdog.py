"""The watchdog: logs every ten seconds the throughput, the queue and the open backlogs."""

from loguru import logger
from msgspec import Struct

from shards.supervisor.ledger_aggregator import LedgerAggregator

WATCHDOG_SECONDS = 10.0


class _Totals(Struct, frozen=True):
    received: int = 0
    processed: int = 0
    busy_seconds: float = 0.0


class Watchdog:
    """Compares the totals with those of the report before."""

    def __init__(self, max_eps: int) -> None:
        self.directives = 0
        """Number of loaded directives."""
        self._max_eps = max_eps
        self._before = _Totals()

    def log_report(self, aggregator: LedgerAggregator, seconds: float, trouble: str) -> None:
        """Log the report, `seconds` after the one before, and warnings.

        `trouble`: why alarms cannot be written, if so.
        """
        totals = _totals(aggregator)
        processed = totals.processed - self._before.processed
        busy = totals.busy_seconds - self._before.busy_seconds
        milliseconds = 1000 * busy / processed if processed > 0 and busy > 0 else 0.0
        queue = aggregator.queued
        workers = aggregator.workers.values()
        logger.bind(
            eps=round(max(0, totals.received - self._before.received) / seconds, 1),
            queue_length=queue,
            avg_proc_time_ms=round(milliseconds, 4),
            ttl_directives=self.directives,
            active_directives=sum(report.active_directives for report in workers),
            backlogs=sum(report.ledger.backlogs["open"] for report in workers),
        ).info("watchdog report")
        if queue and milliseconds * self._max_eps > 1000:
            logger.bind(max_eps=self._max_eps, avg_proc_time_ms=round(milliseconds, 4)).warning(
                "events wait, and one takes too long for max-eps"
            )
        if trouble:
            logger.error(f"alarms still cannot be written: {trouble}")
        self._before = totals


def _totals(aggregator: LedgerAggregator) -> _Totals:
    ledger = aggregator.total()
    return _Totals(
        received=ledger.events.received,
        processed=ledger.deliveries.processed,
        busy_seconds=sum(report.busy_seconds for report in aggregator.workers.values()),
    )
