"""Latencies in an HDR histogram with 3 significant digits, from 1 µs to 2 minutes."""

from collections.abc import Iterable, Sequence

from hdrh.histogram import HdrHistogram
from msgspec import Struct

_LONGEST = 120_000_000
"""Microseconds; a longer wait, of which a run of a minute has none, counts as this."""
_DIGITS = 3
_STEPS = 5
"""Points of a distribution for each halving of what is left to 100 %."""


class Point(Struct, frozen=True):
    """So many percent of the waits, `count` of them, took at most so many milliseconds."""

    percentile: float
    ms: float
    count: int


class Latency(Struct, frozen=True):
    """The waits at a rate of events a second, for so long: as they are kept in a JSON file.

    `lines`: how many there were; `lost`: events that have none.
    """

    rate: int
    seconds: float
    lines: int
    lost: int
    percentiles: Sequence[Point]


class LatencyHistogram:
    """The histogram of some waits, of which there has to be one."""

    def __init__(self, seconds: Iterable[float]) -> None:
        self._histogram = HdrHistogram(1, _LONGEST, _DIGITS)
        for wait in seconds:
            self._histogram.record_value(min(_LONGEST, max(1, round(wait * 1e6))))
        if not self._histogram.get_total_count():
            raise ValueError("there are no waits")

    def at(self, percentile: float) -> float:
        """Milliseconds that so many percent of them took at most."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1000

    def points(self) -> list[Point]:
        """The distribution, ever finer towards 100 %, where it ends with the longest."""
        return [
            Point(
                item.percentile_level_iterated_to,
                item.value_iterated_to / 1000,
                item.total_count_to_this_value,
            )
            for item in self._histogram.get_percentile_iterator(_STEPS)
        ]
