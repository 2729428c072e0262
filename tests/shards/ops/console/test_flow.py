"""The state of the service as the page gets it: rates, sources, latencies, troubles."""

from pathlib import Path
from typing import Any

import pytest

from shards.histograms import LAG_BOUNDS, empty_histogram, observe
from shards.history.history import History
from shards.ledger import Ledger
from shards.ops.console.flow import FlowHandlers, quantile
from tests.support.console import make_backend
from tests.support.overviews import overview, shard_status


@pytest.fixture
def handlers(tmp_path: Path) -> FlowHandlers:
    return FlowHandlers(make_backend(tmp_path, {}))


def test_rates_are_averages_over_the_last_samples(
    handlers: FlowHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for second in range(20):
        monkeypatch.setattr("shards.ops.console.flow.time.monotonic", lambda s=second: float(s))
        ledger = Ledger()
        ledger.events.received = 100 * second * second
        ledger.events.dropped["queue_full"] = second
        alarms = {"Low": 0, "Medium": 0, "High": 2 * second}
        now = overview(ledger=ledger, alarms_written=alarms)
        handlers.sample(now)
    rates = handlers.document(now)["rates"]
    assert rates == {
        "events.received": 100 * (19 * 19 - 14 * 14) / 5,
        "events.dropped.queue_full": 1.0,
        "alarms.High": 2.0,
    }


def test_without_two_samples_there_are_no_rates(handlers: FlowHandlers) -> None:
    assert handlers.document(overview())["rates"] == {}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "http"),
        ({"spool": True}, "spool"),
        ({"mode": "cluster-backend"}, "nats"),
        ({"mode": "cluster-backend", "stream": "s"}, "stream"),
    ],
)
def test_the_kind_of_source(tmp_path: Path, settings: dict[str, Any], kind: str) -> None:
    handlers = FlowHandlers(make_backend(tmp_path, {}, **settings))
    assert handlers.document(overview())["source"]["kind"] == kind


def test_a_worker_has_its_counts_and_its_trouble(handlers: FlowHandlers) -> None:
    shard = shard_status(0, consumed=5, unmatched=2, invalid=1)
    found = handlers.document(
        overview(shards=[shard], checkpoint_troubles={"worker-0": "the disk is full"})
    )
    [worker] = found["workers"]
    assert worker["counts"] == {"consumed": 5, "unmatched": 2, "invalid": 1}
    assert worker["checkpoint_trouble"] == "the disk is full"


def test_troubles_of_the_history_are_warnings(tmp_path: Path) -> None:
    backend = make_backend(tmp_path, {})
    history: History = backend.history
    history.trouble, history.skipped = "no space", 7
    warnings = FlowHandlers(backend).document(overview())["warnings"]
    assert warnings == [
        "the history cannot be written: no space",
        "7 lines of alarms are not in the history",
    ]


def test_quantiles_are_upper_bounds_of_buckets() -> None:
    lags = empty_histogram(LAG_BOUNDS)
    assert quantile(lags, 0.5) is None
    observe(lags, LAG_BOUNDS, 0.02, 98)
    observe(lags, LAG_BOUNDS, 1000.0, 2)
    assert (quantile(lags, 0.5), quantile(lags, 0.99)) == (0.025, LAG_BOUNDS[-1])
