"""Reports of progress during long work.

A leaf of its own: the control pipe reports progress, and everything that loads data is tracked.
"""

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class TrackProgress(Protocol):
    """Wraps the items of long work; taking them from the result reports progress."""

    def __call__(self, items: Iterable[T], /) -> Iterable[T]:
        """The same items."""


def untracked(items: Iterable[T]) -> Iterable[T]:
    """The items as they are, where nobody watches the progress."""
    return items
