"""The search for the highest rate that a service sustains; the same for every service."""

from collections.abc import Callable

from msgspec import Struct

_BISECTIONS = 3
_HALVINGS = 5
"""A service that does not even sustain 1/32 of the first rate sustains none."""


class RateLimits(Struct, frozen=True):
    """The highest rate that was sustained, 0 if none was, and the lowest that was not."""

    sustained: int
    failed: int


def search_rate(sustains: Callable[[int], bool], first: int) -> RateLimits:
    """Double the first rate until it fails, or halve it until it does not; then bisect."""
    sustained, failed = _bracket(sustains, max(1, first))
    for _ in range(_BISECTIONS if sustained else 0):
        middle = (sustained + failed) // 2
        if middle == sustained:
            break
        sustained, failed = (middle, failed) if sustains(middle) else (sustained, middle)
    return RateLimits(sustained, failed)


def _bracket(sustains: Callable[[int], bool], rate: int) -> tuple[int, int]:
    """A rate that is sustained, 0 if none is, and twice this rate, which is not."""
    if sustains(rate):
        while sustains(rate * 2):
            rate *= 2
        return rate, rate * 2
    for _ in range(_HALVINGS):
        rate = max(1, rate // 2)
        if sustains(rate):
            return rate, rate * 2
        if rate == 1:
            break
    return 0, rate
