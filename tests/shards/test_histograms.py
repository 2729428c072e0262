"""Histograms of durations."""

import pytest

from shards.histograms import (
    CHECKPOINT_BOUNDS,
    LAG_BOUNDS,
    PROCESSING_BOUNDS,
    Timings,
    empty_histogram,
    observe,
)

BOUNDS = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (1.0, 0), (1.1, 1), (2.0, 1), (4.0, 2), (4.1, 3), (1e9, 3)]
)
def test_a_bound_belongs_to_its_bucket(seconds: float, bucket: int) -> None:
    histogram = empty_histogram(BOUNDS)
    observe(histogram, BOUNDS, seconds)
    assert [number for number, count in enumerate(histogram.buckets) if count] == [bucket]


def test_many_equal_durations_count_at_once() -> None:
    histogram = empty_histogram(BOUNDS)
    observe(histogram, BOUNDS, 0.5, times=10)
    assert (histogram.count, histogram.seconds) == (10, 5.0)


def test_timings_of_workers_add_up() -> None:
    first, second = Timings(), Timings()
    observe(first.lag, LAG_BOUNDS, 0.002)
    observe(second.lag, LAG_BOUNDS, 0.002, times=2)
    observe(second.checkpoints, CHECKPOINT_BOUNDS, 3.0)
    first.add(second)
    assert (first.lag.count, first.checkpoints.count, first.processing.count) == (3, 1, 0)
    assert first.lag.seconds == pytest.approx(0.006)


@pytest.mark.parametrize("bounds", [PROCESSING_BOUNDS, LAG_BOUNDS, CHECKPOINT_BOUNDS])
def test_bounds_increase(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
