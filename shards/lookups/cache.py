"""The answers of one source that are still good.

What may live here: answers, "found nothing" among them. What may not: failures, and a clock: time
is an argument. Used by one thread, as it has no lock.
"""

from collections.abc import Hashable

from engine.alarm import Hit

_FREE_TEXT = 256
"""Characters of hits that an entry may have before it counts for more than one."""


class LookupCache:
    """Keeps answers for `seconds`, 0 is not at all, and at most `most` of them, fewer if long.

    All live equally long, so the oldest is always the first to go.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._answers: dict[Hashable, tuple[float, int, tuple[Hit, ...]]] = {}
        """By term: until when, for how many entries it counts, and the answer."""
        self._weight = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, term: Hashable, now: float) -> tuple[Hit, ...] | None:
        """Return the answer for a term; None when there is none, or none any more."""
        found = self._answers.get(term)
        if found is None:
            return None
        if now < found[0]:
            return found[2]
        self._drop(term)
        return None

    def put(self, term: Hashable, hits: tuple[Hit, ...], now: float) -> None:
        """Keep an answer."""
        if not self._seconds:
            return
        self._drop(term)
        weight = 1 + sum(len(hit.result) for hit in hits) // _FREE_TEXT
        self._answers[term] = now + self._seconds, weight, hits
        self._weight += weight
        while self._weight > self._most:
            self._drop(next(iter(self._answers)))

    def _drop(self, term: Hashable) -> None:
        if (dropped := self._answers.pop(term, None)) is not None:
            self._weight -= dropped[1]
