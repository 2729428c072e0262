"""How long things took: histograms that a worker fills, and that add up over workers and lives.

May live here: bounds, and counting. May not: names for anybody outside (metrics.py).
"""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct, field

PROCESSING_BOUNDS = (
    *(1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4),
    *(1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 1.0),
)
LAG_BOUNDS = (
    0.001,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    180.0,
)
CHECKPOINT_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, in seconds; above the last one there is one more bucket."""


class Histogram(Struct, array_like=True):
    """How many took at most so long, by bucket, and how long all together, in seconds."""

    buckets: list[int]
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many in all."""
        return sum(self.buckets)

    def add(self, more: "Histogram") -> None:
        """Count those of another one with the same bounds, too."""
        self.buckets = [a + b for a, b in zip(self.buckets, more.buckets, strict=True)]
        self.seconds += more.seconds


def observe(histogram: Histogram, bounds: Sequence[float], seconds: float, times: int = 1) -> None:
    """Count something that took so long, so many times; `bounds` are those of the histogram."""
    histogram.buckets[bisect_left(bounds, seconds)] += times
    histogram.seconds += seconds * times


def _empty(bounds: Sequence[float]) -> Histogram:
    return Histogram([0] * (len(bounds) + 1))


class Timings(Struct, array_like=True):
    """Of a worker, or of all of them.

    `processing`: of a batch of events, divided by their number. `lag`: from when the first event of
    a batch was received by the frontend until it was taken, counted for the whole batch; without
    `rcvd_time` it is not known. `checkpoints`: encoding and writing. Each process counts from its
    start.
    """

    processing: Histogram = field(default_factory=lambda: _empty(PROCESSING_BOUNDS))
    lag: Histogram = field(default_factory=lambda: _empty(LAG_BOUNDS))
    checkpoints: Histogram = field(default_factory=lambda: _empty(CHECKPOINT_BOUNDS))

    def add(self, more: "Timings") -> None:
        """Count those of another worker, too."""
        self.processing.add(more.processing)
        self.lag.add(more.lag)
        self.checkpoints.add(more.checkpoints)
