"""What directives have done since the start of the service, and the events that none is for.

The names are those of `dsiem-backend stats --format json`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from engine.directive_counts import DirectiveCounts
from engine.options import RISK_CLASSES
from shards.unmatched_events import MOST_FREQUENT, Signature

_KEPT_SIGNATURES = 5 * MOST_FREQUENT
"""Number of signatures that are kept of routers that have ended."""


class LiveStats:
    """Adds up what workers report of directives, and routers of unmatched events."""

    def __init__(self) -> None:
        self.directives: dict[int, DirectiveCounts] = {}
        """Those that have consumed an event, or whose alarm has ended."""
        self._loaded: Sequence[int] = ()
        self._signatures: Sequence[Signature] = ()
        """Totals of the router that runs."""
        self._ended: Sequence[Signature] = ()
        """Those of the routers before it."""

    def use(self, loaded: Iterable[int], removed: Iterable[int]) -> None:
        """Another configuration runs: its directives, and those that it does not have any more."""
        self._loaded = sorted(loaded)
        for directive in removed:
            self.directives.pop(directive, None)

    def add(self, counts: Mapping[int, DirectiveCounts]) -> None:
        """A worker has counted this since its last report."""
        for directive, more in counts.items():
            self.directives.setdefault(directive, DirectiveCounts()).add(more)

    def _events_of(self, directive: int) -> int:
        counts = self.directives.get(directive)
        return counts.events if counts is not None else 0

    def take_signatures(self, signatures: Sequence[Signature]) -> None:
        """The router has counted these events so far."""
        self._signatures = signatures

    def router_ended(self) -> None:
        """The next router counts from 0."""
        self._ended = self._all_signatures()[:_KEPT_SIGNATURES]
        self._signatures = ()

    def _all_signatures(self) -> list[Signature]:
        """The signatures of all routers, the most frequent first."""
        by_key: dict[tuple[int, int, str, str], Signature] = {}
        for signature in (*self._ended, *self._signatures):
            before = by_key.get(signature.key)
            events = signature.events + (before.events if before else 0)
            by_key[signature.key] = replace(signature, events=events)
        return sorted(by_key.values(), key=lambda signature: -signature.events)

    def as_document(self, unmatched: int) -> dict[str, Any]:
        """The counts for programs; `unmatched`: number of events that no directive is for."""
        rows = sorted(
            self.directives.items(),
            key=lambda row: (-sum(row[1].alarms.values()), -row[1].events, row[0]),
        )
        signatures = self._all_signatures()[:MOST_FREQUENT]
        shown = sum(signature.events for signature in signatures)
        return {
            "directives": [_document(id_, counts) for id_, counts in rows],
            "never_matched": [id_ for id_ in self._loaded if not self._events_of(id_)],
            "without_alarm": [id_ for id_, one in rows if one.events and not one.alarms],
            "unmatched": {
                "events": unmatched,
                "signatures": [signature.as_document() for signature in signatures],
                "other_events": max(0, unmatched - shown),
            },
        }


def _document(directive: int, counts: DirectiveCounts) -> dict[str, Any]:
    return {
        "id": directive,
        "events": counts.events,
        "opened": counts.opened,
        "furthest_stage": counts.furthest_stage,
        "alarms": {name: counts.alarms.get(name, 0) for name in RISK_CLASSES},
    }
