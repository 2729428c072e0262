"""Latencies in an HDR histogram with 3 significant digits, from 1 µs to 2 minutes."""

from collections.abc import Iterable, Sequence

from hdrh.histogram import HdrHistogram
from msgspec import Struct

_MAX_MICROS = 120_000_000
"""Longer latencies, which a run of a minute cannot have, count as this."""
_SIGNIFICANT_DIGITS = 3
_POINTS_PER_HALVING = 5
"""Points of a distribution for each halving of the distance to 100 %."""


class PercentilePoint(Struct, frozen=True):
    """`percentile` % of the latencies, `count` of them, are at most `ms` milliseconds."""

    percentile: float
    ms: float
    count: int


class RateLatencies(Struct, frozen=True):
    """The latencies of a run of `seconds` at `rate` events/s, as in the JSON file.

    `lines`: number of latencies; `lost`: events without a line.
    """

    rate: int
    seconds: float
    lines: int
    lost: int
    percentiles: Sequence[PercentilePoint]


class LatencyHistogram:
    """The histogram of latencies in seconds; ValueError if there are none."""

    def __init__(self, seconds: Iterable[float]) -> None:
        self._histogram = HdrHistogram(1, _MAX_MICROS, _SIGNIFICANT_DIGITS)
        for latency in seconds:
            self._histogram.record_value(min(_MAX_MICROS, max(1, round(latency * 1e6))))
        if not self._histogram.get_total_count():
            raise ValueError("there are no latencies")

    def at(self, percentile: float) -> float:
        """The latency at this percentile in milliseconds."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1000

    def points(self) -> list[PercentilePoint]:
        """The distribution, with more points towards 100 %; the last point is the maximum."""
        return [
            PercentilePoint(
                item.percentile_level_iterated_to,
                item.value_iterated_to / 1000,
                item.total_count_to_this_value,
            )
            for item in self._histogram.get_percentile_iterator(_POINTS_PER_HALVING)
        ]
