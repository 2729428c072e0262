"""The ledger: counts of events, deliveries, backlogs and lookups that add up exactly.

Events: received = routed + unmatched + elsewhere + whitelisted + invalid + dropped.
Deliveries (one event to one shard): sent = consumed + unmatched + invalid + dropped + lost +
in flight; one that is given again after a death is counted once.
Every process counts into a Ledger of its own; `add_counts` merges them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import msgspec
from msgspec import Struct, field

from engine.errors import InvalidEventError

OUTCOMES = (
    *("taken", "opened", "repeated", "sticky_seen", "out_of_order", "suppressed"),
    "too_late",
)
"""The ways in which a directive consumes an event; counted once per backlog.

Suppressed events would have opened one.
"""

WORKER_DIED = "worker_died"
ROUTER_DIED = "router_died"
"""Reasons of lost deliveries: the process whose death they did not survive."""

BACKLOGS = (
    *("opened", "restored", "finished", "expired", "averted", "removed"),
    *("open", "interrupted"),
)
"""Counts of backlogs.

opened + restored = finished + expired + averted + removed + open + interrupted. Restored ones come
from disk; averted ones had an absent stage, and its events came; those of directives that a reload
has removed are removed, too; interrupted ones were open in a worker when it died, and were not
restored.
"""
ENDED = ("finished", "expired", "averted", "removed", "interrupted")
"""The counts of backlogs that are not open any more."""

FORMER = "former"
"""The name of the counts of all lookup sources that are gone and have none of their own any more.
"""


def _zeros(names: Iterable[str]) -> Counter[str]:
    return Counter(dict.fromkeys(names, 0))


class Events(Struct):
    """Counts of events; `invalid` and `dropped` by reason.

    `elsewhere`: events whose directives all belong to other services of the same node name.
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
        """Number of events that are not accounted for."""
        known = self.routed + self.unmatched + self.elsewhere + self.whitelisted
        return self.received - known - self.invalid.total() - self.dropped.total()


class Deliveries(Struct):
    """Counts of deliveries; `in_flight` are sent and not yet reported by their shard.

    `redelivered`: how often one was given again to a worker that was started again.
    """

    sent: int = 0
    consumed: int = 0
    unmatched: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    redelivered: int = 0

    @property
    def processed(self) -> int:
        """Number of deliveries that their shard has finished with."""
        return self.consumed + self.unmatched + self.invalid.total()

    @property
    def missing(self) -> int:
        """Number of deliveries that are not accounted for."""
        gone = self.dropped.total() + self.lost.total()
        return self.sent - self.processed - self.in_flight - gone


class Feed(Struct):
    """Counts of what did not arrive, and so is in no other count.

    NATS: `lost`: number of lost connections; `seconds_without`: time without a subscription, the
    time before the first one and after the death of a router included; if the router had stalled
    before its connection ended, the time of the stall too; `cut`: events that the server discarded
    for this client, as far as its monitoring was asked. Stream: `expired`: messages that the limits
    of the stream removed before they were read. HTTP: `bodies_cut`: requests whose rest was
    refused.
    """

    lost: int = 0
    seconds_without: float = 0.0
    cut: int = 0
    expired: int = 0
    bodies_cut: int = 0


class LookupCounts(Struct):
    """Counts of the terms that alarms asked one source for; once per alarm and term.

    asked = cached + shared + found + nothing + errors + rejected_breaker + rejected_full + waiting.
    `cached`: answered from the cache; `shared`: already under way for another alarm; `found` and
    `nothing`: answers of the source; `errors`: by reason; `rejected_breaker`: refused by the
    circuit breaker; `rejected_full`: refused by a full queue; `waiting`: not answered yet.
    `opened`: how often a breaker opened; `breakers`: number of breakers by state.
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
        """Number of terms that are not accounted for."""
        known = self.cached + self.shared + self.found + self.nothing + self.errors.total()
        return self.asked - known - self.rejected_breaker - self.rejected_full - self.waiting

    def end(self, reason: str) -> None:
        """Count the waiting terms as errors, and forget the breakers: their process has ended."""
        if self.waiting:
            self.errors[reason] += self.waiting
        self.waiting = 0
        self.breakers.clear()


class Ledger(Struct):
    """All counts. `outcomes` by OUTCOMES, `backlogs` by BACKLOGS, `lookups` by source.

    `rolled_back`: consumed deliveries since the last checkpoint of a worker that died; their lines
    are written, but no backlog holds their effect. `invalid_fields`: invalid events and deliveries
    by reason and field, joined by a colon. `repaired`: deliveries of events with a field that was
    damaged or could not be used, by field. `capped`: addresses, custom data and hits that backlogs
    with a thousand of them did not keep, by field of the alarm; and repeats and alarms that were
    forgotten before their time, since there were too many. `from_future`: events whose time
    was set back to the clock. `id_reused`: events taken whose id an event with other content had.
    `outdated`: lines of alarms that were not written, since one with more finished stages had been.
    `late`: events taken later than max-delay after their receipt.
    `unreported_seconds`: time between the last report of a router that died and its death; if the
    run before this one did not end in order, between its last checkpoint and the first router.
    """

    events: Events = field(default_factory=Events)
    feed: Feed = field(default_factory=Feed)
    deliveries: Deliveries = field(default_factory=Deliveries)
    outcomes: Counter[str] = field(default_factory=lambda: _zeros(OUTCOMES))
    backlogs: Counter[str] = field(default_factory=lambda: _zeros(BACKLOGS))
    rolled_back: int = 0
    invalid_fields: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    capped: Counter[str] = field(default_factory=Counter)
    from_future: int = 0
    id_reused: int = 0
    outdated: int = 0
    late: int = 0
    lookups: dict[str, LookupCounts] = field(default_factory=dict)
    unreported_seconds: float = 0.0

    def count_invalid(self, counts: Counter[str], error: InvalidEventError) -> None:
        """Count an invalid event in `counts` (events or deliveries), and by its field."""
        counts[error.reason] += 1
        if error.field:
            self.invalid_fields[f"{error.reason}:{error.field}"] += 1

    def add_outputs(self, counts: dict[str, int]) -> None:
        """Add the counts of an engine's outputs."""
        for name, count in counts.items():
            if name in OUTCOMES:
                self.outcomes[name] += count
            if name in BACKLOGS:
                self.backlogs[name] += count
        self.id_reused += counts.get("id_reused", 0)
        self.outdated += counts.get("outdated", 0)

    @property
    def adds_up(self) -> bool:
        """Whether every event, delivery and lookup is accounted for."""
        missing = [self.events.missing, self.deliveries.missing]
        missing += [counts.missing for counts in self.lookups.values()]
        return not any(missing)

    def flat_counts(self) -> dict[str, int | float]:
        """Every count other than 0, by the names on the path to it, joined with `_`."""
        return dict(_flatten("", msgspec.to_builtins(self)))


def to_counter(_: type, counts: dict[str, int]) -> Counter[str]:
    """A hook for decoders: a dict as the Counter that it was."""
    return Counter(counts)


encode_ledger: Callable[[Ledger], bytes] = msgspec.msgpack.Encoder().encode
"""A ledger in MessagePack."""
decode_ledger = msgspec.msgpack.Decoder(Ledger, dec_hook=to_counter).decode
"""The opposite of encode_ledger; ValueError if it is none."""


def add_counts(total: Struct, more: Struct) -> None:
    """Add all counts of a Struct to those of another one of the same type, in place.

    Numbers are added, Counters and nested Structs are merged, and dicts of Structs by key.
    """
    for name in total.__struct_fields__:
        value, added = getattr(total, name), getattr(more, name)
        if isinstance(value, Counter):
            value.update(added)
        elif isinstance(value, Struct):
            add_counts(value, added)
        elif isinstance(value, dict):
            for key, counts in added.items():
                if key in value:
                    add_counts(value[key], counts)
                else:
                    value[key] = deepcopy(counts)
        else:
            setattr(total, name, value + added)


def _flatten(prefix: str, counts: dict[str, Any]) -> Iterator[tuple[str, int | float]]:
    for name, value in counts.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}{name}_", value)
        elif value:
            yield f"{prefix}{name}", round(value, 3)
