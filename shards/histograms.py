"""Histograms of durations, filled by workers and merged over workers and restarts."""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct, field

PROCESSING_BOUNDS = (
    *(1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4),
    *(1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 1.0),
)
LAG_BOUNDS = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0),
)
CHECKPOINT_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds; one more bucket holds what is above the last."""


class Histogram(Struct, array_like=True):
    """Number of durations by bucket, and their sum in seconds."""

    buckets: list[int]
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """Number of durations."""
        return sum(self.buckets)

    def add(self, more: "Histogram") -> None:
        """Add a histogram with the same bounds."""
        self.buckets = [a + b for a, b in zip(self.buckets, more.buckets, strict=True)]
        self.seconds += more.seconds


def observe(histogram: Histogram, bounds: Sequence[float], seconds: float, times: int = 1) -> None:
    """Count a duration `times` times; `bounds` are those of the histogram."""
    histogram.buckets[bisect_left(bounds, seconds)] += times
    histogram.seconds += seconds * times


def empty_histogram(bounds: Sequence[float]) -> Histogram:
    """A histogram without durations, with these bounds."""
    return Histogram([0] * (len(bounds) + 1))


class Timings(Struct, array_like=True):
    """The histograms of one worker, or the sum of all workers; each counts from its start.

    `processing`: duration of a batch divided by its number of events. `lag`: time from `rcvd_time` of
    a batch's first event until the batch was taken, counted for every event of the batch; batches
    without `rcvd_time` are left out. `checkpoints`: encoding and writing.
    """

    processing: Histogram = field(default_factory=lambda: empty_histogram(PROCESSING_BOUNDS))
    lag: Histogram = field(default_factory=lambda: empty_histogram(LAG_BOUNDS))
    checkpoints: Histogram = field(default_factory=lambda: empty_histogram(CHECKPOINT_BOUNDS))

    def add(self, more: "Timings") -> None:
        """Add the histograms of another worker."""
        self.processing.add(more.processing)
        self.lag.add(more.lag)
        self.checkpoints.add(more.checkpoints)
