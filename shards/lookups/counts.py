"""What became of what one source was asked, counted.

What may live here: counts, and that they add up: asked = cached + shared + found + nothing +
errors + rejected + waiting.
"""

from collections import Counter

from msgspec import Struct, field


class LookupCounts(Struct):
    """Counts of terms, once for each time that an alarm asked for one.

    `cached`: answered from the cache; `shared`: was on its way for another alarm already;
    `found` and `nothing`: answers of the source; `errors`: by reason; the breaker let nothing
    through, or too many waited: `rejected_breaker`, `rejected_full`; `waiting`: not yet answered.
    `opened`: how often a breaker has opened; `breakers`: how many are in which state.
    """

    asked: int = 0
    cached: int = 0
    shared: int = 0
    found: int = 0
    nothing: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    rejected_breaker: int = 0
    rejected_full: int = 0
    waiting: int = 0
    opened: int = 0
    breakers: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> int:
        """How many are not accounted for."""
        known = self.cached + self.shared + self.found + self.nothing + self.errors.total()
        return self.asked - known - self.rejected_breaker - self.rejected_full - self.waiting

    def add(self, more: "LookupCounts") -> None:
        """Count what another worker has counted, too."""
        self.asked += more.asked
        self.cached += more.cached
        self.shared += more.shared
        self.found += more.found
        self.nothing += more.nothing
        self.errors.update(more.errors)
        self.rejected_breaker += more.rejected_breaker
        self.rejected_full += more.rejected_full
        self.waiting += more.waiting
        self.opened += more.opened
        self.breakers.update(more.breakers)

    def end(self, reason: str) -> None:
        """What still waits will not be answered any more, and there is no breaker any more."""
        if self.waiting:
            self.errors[reason] += self.waiting
        self.waiting = 0
        self.breakers.clear()
