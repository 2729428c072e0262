"""Reports of progress during long work, and pauses in it.

A leaf of its own: the control pipe reports progress, and everything that loads data is tracked.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")

_WORK_SECONDS = 0.002
_PAUSE_SECONDS = 0.002
"""Times of work and of the pause after it, where the event loop of the process is to go on."""


class TrackProgress(Protocol):
    """Wraps the items of long work; taking them from the result reports progress."""

    def __call__(self, items: Iterable[T], /) -> Iterable[T]:
        """The same items."""


def untracked(items: Iterable[T]) -> Iterable[T]:
    """The items as they are, where nobody watches the progress."""
    return items


def pausing(items: Iterable[T], /) -> Iterator[T]:
    """The items of long work in a thread, with pauses in which the event loop goes on."""
    until = time.perf_counter() + _WORK_SECONDS
    for item in items:
        if time.perf_counter() >= until:
            time.sleep(_PAUSE_SECONDS)
            until = time.perf_counter() + _WORK_SECONDS
        yield item
