"""The watchdog line: every ten seconds, how it goes, from what the processes reported."""

from loguru import logger
from msgspec import Struct

from shards.supervisor.ledger_aggregator import LedgerAggregator

WATCHDOG_SECONDS = 10.0


class _Totals(Struct, frozen=True):
    received: int = 0
    done: int = 0
    busy: float = 0.0


class Watchdog:
    """Compares what there is with what there was the last time."""

    def __init__(self, directives: int, max_eps: int) -> None:
        self._directives = directives
        self._max_eps = max_eps
        self._before = _Totals()

    def report(self, accounts: LedgerAggregator, seconds: float, trouble: str) -> None:
        """Log the line, `seconds` after the one before; and warnings of what is wrong."""
        totals = _totals(accounts)
        done = totals.done - self._before.done
        busy = totals.busy - self._before.busy
        milliseconds = 1000 * busy / done if done > 0 and busy > 0 else 0.0
        queue = accounts.queued
        workers = accounts.workers.values()
        logger.bind(
            eps=round(max(0, totals.received - self._before.received) / seconds, 1),
            queue_length=queue,
            avg_proc_time_ms=round(milliseconds, 4),
            ttl_directives=self._directives,
            active_directives=sum(report.active for report in workers),
            backlogs=sum(report.backlogs.get("open", 0) for report in workers),
        ).info("watchdog report")
        if queue and milliseconds * self._max_eps > 1000:
            logger.bind(max_eps=self._max_eps, avg_proc_time_ms=round(milliseconds, 4)).warning(
                "events wait, and one takes too long for max-eps"
            )
        if trouble:
            logger.error(f"the alarm files are still in trouble: {trouble}")
        self._before = totals


def _totals(accounts: LedgerAggregator) -> _Totals:
    ledger = accounts.ledger()
    deliveries = ledger.deliveries
    return _Totals(
        received=ledger.events.received,
        done=deliveries.consumed + deliveries.unmatched + deliveries.invalid.total(),
        busy=sum(report.busy for report in accounts.workers.values()),
    )
