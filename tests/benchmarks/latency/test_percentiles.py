"""Percentiles of latencies."""

import pytest

from benchmarks.latency.percentiles import LatencyHistogram


def test_percentiles_are_exact_to_three_digits() -> None:
    histogram = LatencyHistogram(number / 1000 for number in range(1, 1001))
    assert histogram.at(50) == pytest.approx(500, rel=2e-3)
    assert histogram.at(99) == pytest.approx(990, rel=2e-3)
    assert histogram.at(100) == pytest.approx(1000, rel=2e-3)


def test_the_distribution_ends_with_the_maximum_and_all_latencies() -> None:
    points = LatencyHistogram([0.001] * 999 + [0.5]).points()
    assert [point.percentile for point in points] == sorted(point.percentile for point in points)
    assert points[-1].percentile == 100
    assert points[-1].count == 1000
    assert points[-1].ms == pytest.approx(500, rel=2e-3)


def test_latencies_outside_of_the_range_count_as_its_ends() -> None:
    histogram = LatencyHistogram([-0.001, 1000.0])
    assert histogram.at(50) == pytest.approx(0.001)
    assert histogram.at(100) == pytest.approx(120_000, rel=2e-3)


def test_a_histogram_without_latencies_is_refused() -> None:
    with pytest.raises(ValueError, match="no latencies"):
        LatencyHistogram([])
