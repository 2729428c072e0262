"""The expiry times of open backlogs.

A file of its own, since the backlogs of all directives share one queue.
"""

from heapq import heappop, heappush

from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet, CompactSetMap


class ExpiryQueue:
    """Backlogs by the second at which they expire, with a heap of these seconds."""

    __slots__ = ("_by_second", "_seconds")

    def __init__(self) -> None:
        self._by_second: CompactSetMap[int, Backlog] = CompactSetMap()
        self._seconds: list[int] = []

    def add(self, backlog: Backlog) -> None:
        """Add a backlog under its `expires_at`, in seconds since the epoch."""
        if backlog.expires_at not in self._by_second:
            heappush(self._seconds, backlog.expires_at)
        self._by_second.add(backlog.expires_at, backlog)

    def remove(self, backlog: Backlog) -> None:
        """Remove a backlog; its second stays in the heap until it has passed."""
        self._by_second.remove(backlog.expires_at, backlog)

    def is_due(self, now: int) -> bool:
        """Whether a backlog may expire at `now` or before."""
        return bool(self._seconds) and self._seconds[0] <= now

    def pop_expired(self, now: int) -> list[Backlog]:
        """Remove and return the backlogs that expire at `now` or before, earliest first."""
        expired: list[Backlog] = []
        while self._seconds and self._seconds[0] <= now:
            backlogs: CompactSet[Backlog] = self._by_second.pop(heappop(self._seconds), None)
            expired += compact_set.items(backlogs)
        return expired
