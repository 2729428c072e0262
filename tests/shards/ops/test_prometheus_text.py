"""The text format of Prometheus, read by its own parser and checked by promtool."""

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shards.histograms import LAG_BOUNDS, Timings, observe
from shards.ledger import Events, Ledger
from shards.ops.metric import PREFIX
from shards.ops.metrics import METRICS
from shards.ops.overview import Overview
from shards.ops.prometheus_text import prometheus_text
from tests.support.overviews import overview, overview_with_all_metrics, reload_outcome

Labels = tuple[tuple[str, str], ...]


def samples(of: Overview) -> dict[tuple[str, Labels], float]:
    """The samples of the text by name, without the prefix, and labels."""
    families = text_string_to_metric_families(prometheus_text(of).decode())
    return {
        (sample.name.removeprefix(PREFIX), tuple(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_metric_is_in_the_text_with_its_kind_and_help() -> None:
    text = prometheus_text(overview_with_all_metrics()).decode()
    for metric in METRICS:
        assert f"# HELP {PREFIX}{metric.name} {metric.help}\n" in text
        assert f"# TYPE {PREFIX}{metric.name} {metric.kind}\n" in text


def test_counters_and_gauges_have_their_values_and_labels() -> None:
    found = samples(overview(ledger=Ledger(events=Events(received=5, routed=4))))
    assert found["events_received_total", ()] == 5
    assert found["events_total", (("outcome", "routed"),)] == 4
    assert found["worker_up", (("worker", "0"),)] == 1
    assert found["start_timestamp_seconds", ()] == 1_700_000_000
    assert found["config_info", (("hash", "abc"),)] == 1


def test_reloads_have_a_sample_of_each_result_from_the_start() -> None:
    names = ("config_last_reload_successful", "config_generation")

    def reloads(of: Overview) -> list[float]:
        found = samples(of)
        results = ("changed", "unchanged", "failed")
        counts = [found["config_reloads_total", (("result", result),)] for result in results]
        return counts + [found[name, ()] for name in names]

    assert reloads(overview()) == [0, 0, 0, 1, 1]
    failed = reload_outcome(generation=3, successful=False, error="x")
    counts = {"changed": 2, "failed": 1}
    assert reloads(overview(config_generation=3, last_reload=failed, reloads=counts)) == [
        2,
        0,
        1,
        0,
        3,
    ]
    loaded = samples(overview())["config_last_reload_success_timestamp_seconds", ()]
    assert loaded == 1_700_000_000


def test_a_metric_without_samples_is_left_out() -> None:
    left_out = {"matches_total", "nats_connected", "checkpoint_last_timestamp_seconds"}
    assert left_out.isdisjoint(name for name, _ in samples(overview()))
    assert left_out <= {name for name, _ in samples(overview_with_all_metrics())}


def test_buckets_of_a_histogram_are_cumulative() -> None:
    timings = Timings()
    observe(timings.lag, LAG_BOUNDS, 0.001, times=3)  # a bound belongs to its bucket
    observe(timings.lag, LAG_BOUNDS, 2.0)
    observe(timings.lag, LAG_BOUNDS, 1000.0)
    found = samples(overview(timings=timings))

    def bucket(bound: str) -> float:
        return found["event_lag_seconds_bucket", (("le", bound),)]

    assert [bucket(le) for le in ("0.001", "1", "2.5", "180", "+Inf")] == [3, 3, 4, 4, 5]
    assert found["event_lag_seconds_count", ()] == 5
    assert found["event_lag_seconds_sum", ()] == 1002.003


def test_promtool_accepts_the_text() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: it comes with the Debian package prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=prometheus_text(overview_with_all_metrics()),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
