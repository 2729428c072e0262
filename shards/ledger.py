"""The ledger: what became of every event, and of every delivery to a shard; it adds up.

Events: received = routed + unmatched + elsewhere + whitelisted + invalid + dropped. Deliveries (an
event to a shard): sent = consumed + unmatched + invalid + dropped + lost + in flight.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

OUTCOMES = ("taken", "opened", "repeated", "sticky_seen", "out_of_order")
"""How consumed events were consumed, counted once per backlog."""

BACKLOGS = ("opened", "restored", "finished", "expired", "open", "interrupted")
"""What became of backlogs: opened + restored = finished + expired + open + interrupted.

Interrupted ones were open in a worker when it died; restored ones were taken up from disk.
"""


def _zeros(names: Iterable[str]) -> Counter[str]:
    return Counter(dict.fromkeys(names, 0))


class Events(Struct):
    """Counts of events; invalid and dropped ones by reason.

    `elsewhere`: those that concern only directives of other services of the node.
    """

    received: int = 0
    routed: int = 0
    unmatched: int = 0
    whitelisted: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    elsewhere: int = 0

    @property
    def missing(self) -> int:
        """How many events are not accounted for."""
        known = self.routed + self.unmatched + self.elsewhere + self.whitelisted
        return self.received - known - self.invalid.total() - self.dropped.total()


class Deliveries(Struct):
    """Counts of deliveries; `in_flight` are those that a shard has not yet reported."""

    sent: int = 0
    consumed: int = 0
    unmatched: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0

    @property
    def missing(self) -> int:
        """How many deliveries are not accounted for."""
        known = self.consumed + self.unmatched + self.in_flight
        gone = self.invalid.total() + self.dropped.total() + self.lost.total()
        return self.sent - known - gone


class Feed(Struct):
    """What is known of events that never arrived, since the connection to NATS did not hold.

    `lost`: how often; `seconds_without`: for how long there was none, until the first one too;
    `cut`: events that the server had for us and threw away, as far as its monitoring was asked.
    """

    lost: int = 0
    seconds_without: float = 0.0
    cut: int = 0


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


class Ledger(Struct):
    """All counts. `outcomes`: by OUTCOMES. `backlogs`: by BACKLOGS.

    `rolled_back`: of the consumed deliveries, those since the last checkpoint of a worker that
    died: their lines are written, but backlogs know nothing of them. `from_future`: events whose
    time was brought back to the clock. `late`: events taken later than max-delay after receipt.
    `lookups`: by source. `unreported_seconds`: for how long routers that died had not said what
    they did.
    """

    events: Events = field(default_factory=Events)
    feed: Feed = field(default_factory=Feed)
    deliveries: Deliveries = field(default_factory=Deliveries)
    outcomes: Counter[str] = field(default_factory=lambda: _zeros(OUTCOMES))
    backlogs: Counter[str] = field(default_factory=lambda: _zeros(BACKLOGS))
    rolled_back: int = 0
    from_future: int = 0
    late: int = 0
    lookups: dict[str, LookupCounts] = field(default_factory=dict)
    unreported_seconds: float = 0.0

    def note(self, counts: dict[str, int]) -> None:
        """Add the counts of an engine's outputs."""
        for what, count in counts.items():
            if what in OUTCOMES:
                self.outcomes[what] += count
            if what in BACKLOGS:
                self.backlogs[what] += count

    @property
    def adds_up(self) -> bool:
        """Whether every event, every delivery and every lookup is accounted for."""
        missing = [self.events.missing, self.deliveries.missing]
        missing += [counts.missing for counts in self.lookups.values()]
        return not any(missing)

    def lines(self) -> dict[str, int | float]:
        """Every count that is not 0, by a name made of the names that lead to it."""
        return dict(_flat("", msgspec.to_builtins(self)))


def _flat(prefix: str, counts: dict[str, Any]) -> Iterator[tuple[str, int | float]]:
    for name, value in counts.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}_", value)
        elif value:
            yield f"{prefix}{name}", round(value, 3)
