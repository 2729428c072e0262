"""What a shard remembers beyond its open backlogs: the events taken, and the alarms written.

Shippers send lines again. An event that was taken must not be taken twice, even if its backlog has
closed, and an alarm must not go back to an earlier stage.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from itertools import islice, takewhile
from typing import Any, Generic, TypeVar

from engine.correlation.cool_downs import CoolDowns
from engine.event import NormalizedEvent

MAX_REMEMBERED = 1_000_000
"""Largest number of events, and of alarms, that a shard remembers: some 100 bytes each."""
MAX_IDS = 8_000
"""Number of event ids that are known; with more, all are forgotten."""
_PRUNINGS_PER_WINDOW = 60
"""Old keys are forgotten together, since each search for them begins at the first one."""

K = TypeVar("K")
Stamp = tuple[int, int]
"""When a key was put, in seconds of the shard's clock, and its value."""
Entry = tuple[K, int, int]
"""A key with its stamp."""


class RecentKeys(Generic[K]):
    """Keys with a number each, for a time; the oldest ones go first."""

    def __init__(
        self,
        window: int,
        capped: Counter[str],
        name: str,
        *,
        limit: int = MAX_REMEMBERED,
    ) -> None:
        """`window`: seconds, 0 to remember nothing; `limit`: number of keys.

        `capped` counts, under the name, keys that were forgotten before their time.
        """
        self._window = window
        self._limit = limit
        self._capped = capped
        self._name = name
        self.stamps: dict[K, Stamp] = {}
        """The last put last; always the same object, to be read only."""
        self._patience = window + window // _PRUNINGS_PER_WINDOW + 1
        """Seconds after which the oldest key is forgotten, with those that follow it soon."""
        self.prune_at = sys.maxsize
        """From when on there are keys to forget, in seconds of the clock; to be read only."""
        self.puts = 0
        """Number of calls of `put` so far; to be read only."""

    def __len__(self) -> int:
        return len(self.stamps)

    def get(self, key: K, now: int) -> int | None:
        """The value of a key; None if it was not put within the window before `now`."""
        stamp = self.stamps.get(key)
        if stamp is None or now - stamp[0] > self._window:
            return None
        return stamp[1]

    def put(self, key: K, stamp: Stamp) -> None:
        """Remember a key from the time of the stamp on; many keys may share one stamp."""
        if not self._window:
            return
        stamps = self.stamps
        if key in stamps:
            del stamps[key]  # to put it at the end
        stamps[key] = stamp
        self.puts += 1
        if stamp[0] >= self.prune_at or not 1 < len(stamps) <= self._limit:
            self.prune(stamp[0])

    def prune(self, now: int) -> None:
        """Forget keys that are older than the window, and the oldest ones if there are too many."""
        stamps, first = self.stamps, now - self._window
        old = [key for key, _ in takewhile(lambda item: item[1][0] < first, stamps.items())]
        for key in old:
            del stamps[key]
        if len(stamps) > self._limit:
            self._forget_excess()
        if not stamps:
            stamps.clear()  # frees the memory
        self._schedule()

    def _forget_excess(self) -> None:
        """Forget the oldest keys, more than needed, so that it is not to be done each time."""
        stamps = self.stamps
        excess = list(islice(stamps, len(stamps) - self._limit * 19 // 20))
        for key in excess:
            del stamps[key]
        self._capped[self._name] += len(excess)

    def follow_clock_back(self, now: int) -> None:
        """The clock was set back to `now`: what was put later counts as put now."""
        stamps = self.stamps
        if any(time > now for time, _ in stamps.values()):
            for key, (time, value) in stamps.items():
                stamps[key] = (min(time, now), value)
            self.prune(now)

    def _schedule(self) -> None:
        """Set when to forget the oldest key."""
        oldest, _ = next(iter(self.stamps.values()), (sys.maxsize, 0))
        self.prune_at = oldest + self._patience

    def last_put(self, number: int) -> list[tuple[K, Stamp]]:
        """The `number` keys put last, with their stamps, the last one last; all if they are fewer.

        No key is looked up: that would take longer than all the rest, if they are many.
        """
        last = list(islice(reversed(self.stamps.items()), number))
        last.reverse()
        return last

    def restore(self, entries: Iterable[Entry[K]]) -> None:
        """Remember saved keys again, before those that were put since.

        Of several entries of a key the latest one counts.
        """
        if not self._window:  # it was another one when they were saved
            return
        saved: dict[K, Stamp] = {}
        for key, time, value in sorted(entries, key=_time_of):
            saved.pop(key, None)  # to put it at the end
            saved[key] = (time, value)
        since = dict(self.stamps)
        for key in since.keys() & saved.keys():
            del saved[key]
        self.stamps.clear()
        self.stamps |= saved
        self.stamps |= since
        if len(self.stamps) > self._limit:
            self._forget_excess()
        self._schedule()


def _time_of(entry: Entry[Any]) -> int:
    return entry[1]


class Memory:
    """The memory of one shard.

    `taken`: the directive that has taken an event, by the identity of the event and the salt of
    the directive.
    `written`: the number of finished stages in the last line of a closed alarm, by its id.
    `saved_ids`: directives with the ids of events that their backlogs had taken, as saved files
    have them: without identities.
    `cool_downs`: values for which a directive opens no backlog for a time.
    """

    def __init__(
        self,
        window: int,
        capped: Counter[str],
        *,
        limit: int = MAX_REMEMBERED,
    ) -> None:
        """`window`: seconds, 0 to remember nothing. `capped` counts what is forgotten too early."""

        self.taken: RecentKeys[int] = RecentKeys(window, capped, "repeats", limit=limit)
        self.written: RecentKeys[str] = RecentKeys(window, capped, "alarms", limit=limit)
        self.saved_ids: RecentKeys[tuple[int, str]] = RecentKeys(
            window, capped, "repeats", limit=limit
        )
        self.cool_downs = CoolDowns(capped)
        self._reused: NormalizedEvent | None = None
        self._identities: dict[str, int] = {}
        """By event id, of the last events taken."""

    def remember(self, event: NormalizedEvent, key: int, stamp: Stamp) -> bool:
        """Remember an event that was taken, by its key in `taken`.

        Returns whether the last event taken with this id was another one, if that is still known.
        """
        self.taken.put(key, stamp)
        identities = self._identities
        if len(identities) >= MAX_IDS:
            identities.clear()
        if identities.setdefault(event.event_id, event.identity) == event.identity:
            return False
        identities[event.event_id] = event.identity
        self._reused = event
        return True

    def is_outdated(self, alarm_id: str, finished: int, now: int) -> bool:
        """Whether a line of this alarm with more finished stages has been written."""
        written = self.written.get(alarm_id, now)
        return written is not None and written > finished

    def take_reused(self) -> NormalizedEvent | None:
        """An event whose id another one had, of those since the last call."""
        reused, self._reused = self._reused, None
        return reused

    def remember_saved(self, directive: int, ids: Iterable[str], time: int) -> None:
        """Remember the ids of events that a backlog of a saved file had taken by then."""
        for id_ in ids:
            self.saved_ids.put((directive, id_), (time, directive))

    def is_saved(self, directive: int, id_: str, now: int) -> bool:
        """Whether a backlog of a saved file has taken an event with this id."""
        return self.saved_ids.get((directive, id_), now) is not None

    def is_due(self, now: int) -> bool:
        """Whether there is something to forget."""
        return (  # not by a loop: this is asked twice for each batch
            self.taken.prune_at <= now
            or self.written.prune_at <= now
            or self.saved_ids.prune_at <= now
            or self.cool_downs.prune_at <= now
        )

    def prune(self, now: int) -> None:
        """Forget what is older than the window, or has ended."""
        for keys in self._all:
            keys.prune(now)

    def follow_clock_back(self, now: int) -> None:
        """As `Correlator.follow_clock_back`."""
        for keys in self._all:
            keys.follow_clock_back(now)

    @property
    def _all(self) -> tuple[RecentKeys[Any] | CoolDowns, ...]:
        return self.taken, self.written, self.saved_ids, self.cool_downs
