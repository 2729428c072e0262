"""The expiry times of open backlogs.

A file of its own, since the backlogs of all directives share one queue.
"""

import sys
from heapq import heapify, heappop, heappush
from itertools import islice

from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSetMap

_SPARE_SECONDS = 64
"""Length up to which the heap is not cleaned of seconds at which nothing expires any more."""


class ExpiryQueue:
    """Backlogs by the second at which they expire, with a heap of these seconds."""

    __slots__ = ("_by_second", "_seconds", "first")

    def __init__(self) -> None:
        self._by_second: CompactSetMap[int, Backlog] = CompactSetMap()
        self._seconds: list[int] = []
        self.first = sys.maxsize
        """The first second at which a backlog may expire; the largest number if there is none."""

    def add(self, backlog: Backlog) -> None:
        """Add a backlog under its `expires_at`, in seconds since the epoch."""
        if backlog.expires_at not in self._by_second:
            heappush(self._seconds, backlog.expires_at)
            self.first = self._seconds[0]
        self._by_second.add(backlog.expires_at, backlog)

    def remove(self, backlog: Backlog) -> None:
        """Remove a backlog.

        The heap stays below twice the number of seconds in use, at a constant cost per removal.
        """
        self._by_second.remove(backlog.expires_at, backlog)
        if len(self._seconds) > 2 * len(self._by_second) + _SPARE_SECONDS:
            self._seconds = list(self._by_second)
            heapify(self._seconds)
            self.first = self._seconds[0] if self._seconds else sys.maxsize

    def move(self, backlog: Backlog, expires_at: int) -> None:
        """Change the `expires_at` of a backlog."""
        self.remove(backlog)
        backlog.expires_at = expires_at
        self.add(backlog)

    def is_due(self, now: int) -> bool:
        """Whether a backlog may expire at `now` or before."""
        return bool(self._seconds) and self.first <= now

    def pop_expired(self, now: int, limit: int = sys.maxsize) -> list[Backlog]:
        """Remove and return backlogs that expire at `now` or before, earliest first.

        Not more than `limit`; more may be due as long as `is_due`.
        """
        expired: list[Backlog] = []
        while self.is_due(now) and len(expired) < limit:
            second = self._seconds[0]
            backlogs = compact_set.items(self._by_second.get(second))
            due = list(islice(backlogs, limit - len(expired)))
            for backlog in due:
                self._by_second.remove(second, backlog)
            expired += due
            if second not in self._by_second:
                heappop(self._seconds)
                self.first = self._seconds[0] if self._seconds else sys.maxsize
        return expired
