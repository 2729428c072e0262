"""The watchdog's report, and its warnings."""

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from shards.ledger import Events
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.watchdog import Watchdog
from tests.support.reports import router_report, worker_report

Records = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture
def records() -> Iterator[Records]:
    kept: Records = []

    def keep(message: Any) -> None:
        record = message.record
        kept.append((record["level"].name, record["message"], record["extra"]))

    handler = logger.add(keep)
    yield kept
    logger.remove(handler)


def aggregator_of(received: int, processed: int, busy: float, queued: int = 0) -> LedgerAggregator:
    aggregator = LedgerAggregator(1)
    aggregator.router_reported(router_report(Events(received=received), {0: (0, 0, queued)}))
    aggregator.worker_reported(
        0, worker_report(processed, opened=3, still_open=2, busy_seconds=busy)
    )
    return aggregator


def test_rates_are_those_since_the_report_before(records: Records) -> None:
    watchdog = Watchdog(max_eps=100)
    watchdog.directives = 7
    watchdog.log_report(aggregator_of(1000, 100, 0.1), 10.0, "")
    watchdog.log_report(aggregator_of(3000, 300, 0.5, queued=4), 10.0, "")
    assert [fields["eps"] for _, _, fields in records] == [100.0, 200.0]
    level, message, fields = records[-1]
    assert (level, message) == ("INFO", "watchdog report")
    assert fields == {
        "eps": 200.0,
        "queue_length": 4,
        "avg_proc_time_ms": 2.0,
        "ttl_directives": 7,
        "active_directives": 0,
        "backlogs": 2,
    }


@pytest.mark.parametrize(
    ("queued", "max_eps", "warns"), [(5, 1000, True), (0, 1000, False), (5, 400, False)]
)
def test_it_warns_if_events_wait_and_processing_is_too_slow(
    records: Records, queued: int, max_eps: int, warns: bool
) -> None:
    watchdog = Watchdog(max_eps)
    watchdog.log_report(aggregator_of(100, 100, 0.2, queued), 10.0, "")  # 2 ms an event
    assert [level for level, _, _ in records] == ["INFO"] + ["WARNING"] * warns


def test_it_repeats_that_alarms_cannot_be_written(records: Records) -> None:
    Watchdog(1).log_report(LedgerAggregator(1), 10.0, "no space left")
    assert records[-1][0] == "ERROR"
    assert "no space left" in records[-1][1]


def test_a_report_without_events_divides_by_nothing(records: Records) -> None:
    Watchdog(1).log_report(LedgerAggregator(1), 10.0, "")
    assert records[-1][2]["avg_proc_time_ms"] == 0.0
