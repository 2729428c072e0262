"""A cache of the answers of one lookup source."""

from collections.abc import Hashable

from engine.alarm import Hit

_CHARACTERS_PER_UNIT = 256
"""An answer takes one unit of the capacity, and one more for each 256 characters of results."""


class LookupCache:
    """Caches answers, including "found nothing", for a fixed time; not thread-safe.

    `seconds`: lifetime of an answer; 0 disables the cache. `capacity`: number of answers, fewer if
    they are long. All answers live equally long, so the oldest is evicted first.
    """

    def __init__(self, seconds: float, capacity: int) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._answers: dict[Hashable, tuple[float, int, tuple[Hit, ...]]] = {}
        """By term: time of expiry, units of the capacity, hits."""
        self._used = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, term: Hashable, now: float) -> tuple[Hit, ...] | None:
        """Return the cached hits of a term; None if there are none, or they have expired."""
        answer = self._answers.get(term)
        if answer is None:
            return None
        expires, _, hits = answer
        if now < expires:
            return hits
        self._remove(term)
        return None

    def put(self, term: Hashable, hits: tuple[Hit, ...], now: float) -> None:
        """Store an answer; `now` in seconds, by the same clock as in `get`."""
        if not self._seconds:
            return
        self._remove(term)
        units = 1 + sum(len(hit.result) for hit in hits) // _CHARACTERS_PER_UNIT
        self._answers[term] = now + self._seconds, units, hits
        self._used += units
        while self._used > self._capacity:
            self._remove(next(iter(self._answers)))

    def _remove(self, term: Hashable) -> None:
        if (removed := self._answers.pop(term, None)) is not None:
            self._used -= removed[1]
