"""Cool-downs: values for which a directive opens no backlog for a time, after an alarm.

A file of its own, since the directives of a shard share them, within one bound.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

MAX_COOL_DOWNS = 1_000_000
"""Largest number of cool-downs of a shard, some 200 bytes each; the first to end go first."""
_SPARE = 64
"""Length up to which the heap is not cleaned of ends that do not hold any more."""


class CoolDown(Struct, frozen=True, gc=False):
    """A cool-down until a time of the shard's clock, `seconds` after it began.

    `key`: of a directive and the values, 63 bits.
    """

    key: int
    directive: int
    until: int
    seconds: int


class CoolDowns:
    """The cool-downs of all directives of a shard, by key, the last begun at the end."""

    __slots__ = ("_by_key", "_capped", "_ends", "_limit", "begun", "prune_at")

    def __init__(self, capped: Counter[str], limit: int = MAX_COOL_DOWNS) -> None:
        """`capped` counts those that were forgotten before their end, as "cool_downs"."""
        self._by_key: dict[int, CoolDown] = {}
        self._ends: list[tuple[int, int]] = []
        """A heap of ends with their keys; one that was begun again has several."""
        self._capped = capped
        self._limit = limit
        self.begun = 0
        """Number of cool-downs begun so far."""
        self.prune_at = sys.maxsize
        """From when on there may be something to forget; to be read only."""

    def __len__(self) -> int:
        return len(self._by_key)

    def is_active(self, key: int, now: int) -> bool:
        """Whether there is a cool-down of this key at `now`."""
        found = self._by_key.get(key)
        return found is not None and now < found.until

    def begin(self, new: CoolDown) -> None:
        """Begin a cool-down, or begin it again."""
        self._by_key.pop(new.key, None)
        self._add(new)
        self.begun += 1

    def _add(self, new: CoolDown) -> None:
        self._by_key[new.key] = new
        heappush(self._ends, (new.until, new.key))
        if len(self._by_key) > self._limit:
            self._capped["cool_downs"] += 1
            while len(self._by_key) > self._limit:
                self._pop_end()
        if len(self._ends) > 2 * len(self._by_key) + _SPARE:
            self._renew_ends()
        self.prune_at = self._ends[0][0]

    def _renew_ends(self) -> None:
        """Make the heap of the ends that hold."""
        self._ends = [(one.until, one.key) for one in self._by_key.values()]
        heapify(self._ends)

    def _pop_end(self) -> None:
        """Take the first end from the heap, and forget the cool-down that it is still of."""
        until, key = heappop(self._ends)
        found = self._by_key.get(key)
        if found is not None and found.until == until:
            del self._by_key[key]

    def prune(self, now: int) -> None:
        """Forget what has ended by `now`."""
        while self._ends and self._ends[0][0] <= now:
            self._pop_end()
        self.prune_at = self._ends[0][0] if self._ends else sys.maxsize

    def follow_clock_back(self, now: int) -> None:
        """The clock was set back to `now`: what began later counts as begun now."""
        ahead = [one for one in self._by_key.values() if one.until > now + one.seconds]
        for one in ahead:
            self._by_key[one.key] = replace(one, until=now + one.seconds)
        if ahead:
            self._renew_ends()
        self.prune(now)

    def last_begun(self, number: int) -> list[CoolDown]:
        """At most the `number` cool-downs begun last."""
        return list(islice(reversed(self._by_key.values()), number))

    def restore(self, saved: Iterable[CoolDown]) -> None:
        """Add saved cool-downs, but those that have begun since."""
        for one in saved:
            if one.key not in self._by_key:
                self._add(one)
