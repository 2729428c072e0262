"""When open backlogs expire: a heap of the seconds at which something does."""

from heapq import heappop, heappush

from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet, CompactSetMap


class ExpiryQueue:
    """Which backlogs expire at which second; asking for none that do costs next to nothing."""

    __slots__ = ("_by_second", "_seconds")

    def __init__(self) -> None:
        self._by_second: CompactSetMap[int, Backlog] = CompactSetMap()
        self._seconds: list[int] = []

    def add(self, backlog: Backlog) -> None:
        """File a backlog under its `expires_at`, in seconds."""
        if backlog.expires_at not in self._by_second:
            heappush(self._seconds, backlog.expires_at)
        self._by_second.add(backlog.expires_at, backlog)

    def remove(self, backlog: Backlog) -> None:
        """Take a backlog out; its second stays in the heap, to be passed over in time."""
        self._by_second.remove(backlog.expires_at, backlog)

    def due(self, now: int) -> bool:
        """Whether anything may expire at `now` or before."""
        return bool(self._seconds) and self._seconds[0] <= now

    def pop(self, now: int) -> list[Backlog]:
        """Take out, and return, all that expires at `now` or before, earliest first."""
        due: list[Backlog] = []
        while self._seconds and self._seconds[0] <= now:
            expired: CompactSet[Backlog] = self._by_second.pop(heappop(self._seconds), None)
            due += compact_set.items(expired)
        return due
