"""Alarms that have changed without a stage being finished: each is written once a second at most.

A line holds the whole alarm. With a line for each event or hit, the costs would grow with the
square of their number. A file of its own: backlogs, and alarms of closed ones, wait in one each.
"""

from typing import Generic, TypeVar

K = TypeVar("K")


class PendingLines(Generic[K]):
    """Keys of the alarms whose line is to be written when the second is over."""

    __slots__ = ("_second", "keys")

    def __init__(self) -> None:
        self.keys: dict[K, None] = {}
        """To be read only."""
        self._second = 0

    def __contains__(self, key: K) -> bool:
        return key in self.keys

    def add(self, key: K, now: int | None = None) -> None:
        """Add an alarm that has changed; `now`: the present second, if it may be a new one."""
        self.keys[key] = None
        if now is not None:
            self._second = now

    def discard(self, key: K) -> None:
        """Remove an alarm if it is there, since it has just been written."""
        self.keys.pop(key, None)

    def is_due(self, now: int) -> bool:
        """Whether lines are to be written at `now`: in another second than that of the changes."""
        return bool(self.keys) and now != self._second

    def pop_due(self, now: int, limit: int) -> list[K]:
        """Remove and return alarms to be written at `now`, `limit` at most."""
        return self._pop(now, limit) if self.is_due(now) else []

    def pop_all(self) -> list[K]:
        """Remove and return all alarms, since no other second will come."""
        return self._pop(self._second, len(self.keys))

    def _pop(self, now: int, limit: int) -> list[K]:
        popped = [self.keys.popitem()[0] for _ in range(min(limit, len(self.keys)))]
        if not self.keys:
            self._second = now
        return popped
