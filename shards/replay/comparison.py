"""The alarms of two configs on the same events: which are new, gone, changed or the same.

An alarm is the same one in both if its directive and its opening event are: then its id is.
"""

from collections import Counter, defaultdict
from typing import Any

from msgspec import Struct, field

from engine.errors import InvalidEventError
from shards.replay.tracked_replay import MAX_CLOSED, AlarmState, SettledAlarms, TrackedReplay
from shards.sources.recorded_event import RecordedEvent

KINDS = ("new", "gone", "changed", "unchanged")
MAX_KEPT = 10_000
"""Number of differences of a kind that are kept to be listed; more are only counted."""


class AlarmPair(Struct, frozen=True):
    """An alarm that is in both configs, and the parts of it that differ."""

    old: AlarmState
    new: AlarmState
    differing: tuple[str, ...]


class Differences(Struct):
    """The differences found; `counts` by directive and kind, the lists up to a limit each."""

    new: list[AlarmState] = field(default_factory=list)
    gone: list[AlarmState] = field(default_factory=list)
    changed: list[AlarmPair] = field(default_factory=list)
    counts: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def totals(self) -> dict[str, int]:
        """Number of alarms by kind, in the order of KINDS."""
        return {kind: sum(counts[kind] for counts in self.counts.values()) for kind in KINDS}


class Comparison:
    """Two replays of the same events."""

    def __init__(
        self,
        old: TrackedReplay,
        new: TrackedReplay,
        limit: int | None = MAX_KEPT,
        max_closed: int = MAX_CLOSED,
    ) -> None:
        """`limit`: number of differences of a kind to keep, None for all.

        `max_closed`: number of alarms from which on those that are closed in both are settled.
        """
        self.old = old
        self.new = new
        self.differences = Differences()
        self._limit = limit
        self._max_closed = self._settle_at = max_closed
        self._settled = SettledAlarms()

    def process_event(self, recorded: RecordedEvent) -> None:
        """Let both replays process an event; InvalidEventError if one of them finds it invalid."""
        failure = None
        for replay in (self.old, self.new):
            try:
                replay.process_event(recorded)
            except InvalidEventError as error:
                failure = error
        if failure is not None:
            raise failure
        if len(self.old.alarms) + len(self.new.alarms) > self._settle_at:
            self._settle()

    def finish(self) -> None:
        """Finish both replays, compare what is left, and sort the differences."""
        self.old.finish()
        self.new.finish()
        self._settle(at_end=True)
        found = self.differences
        found.new.sort(key=_order)
        found.gone.sort(key=_order)
        found.changed.sort(key=lambda pair: _order(pair.new))

    def _settle(self, *, at_end: bool = False) -> None:
        """Compare the alarms that cannot change any more, and forget them."""
        old, new = self.old, self.new
        for alarm_id in {**old.alarms, **new.alarms}:
            if at_end or not (old.is_open(alarm_id) or new.is_open(alarm_id)):
                pair = old.alarms.pop(alarm_id, None), new.alarms.pop(alarm_id, None)
                written = any(alarm is not None and alarm.published for alarm in pair)
                if written and self._settled.add(alarm_id):
                    self._compare(*pair)
        self._settle_at = max(self._max_closed, 2 * (len(old.alarms) + len(new.alarms)))

    def _compare(self, old: AlarmState | None, new: AlarmState | None) -> None:
        """Add an alarm; one that was never written is none."""
        found = self.differences
        if old is not None and old.published:
            if new is None or not new.published:
                self._count(old, "gone", found.gone, old)
            elif differing := differing_parts(old, new):
                self._count(new, "changed", found.changed, AlarmPair(old, new, differing))
            else:
                found.counts[new.directive]["unchanged"] += 1
        elif new is not None and new.published:
            self._count(new, "new", found.new, new)

    def _count(self, alarm: AlarmState, kind: str, kept: list[Any], difference: Any) -> None:
        self.differences.counts[alarm.directive][kind] += 1
        if self._limit is None or len(kept) < self._limit:
            kept.append(difference)


def _order(alarm: AlarmState) -> tuple[int, int, str]:
    return alarm.directive, alarm.first_time, alarm.alarm_id


def differing_parts(old: AlarmState, new: AlarmState) -> tuple[str, ...]:
    """Names of the parts in which two states of an alarm differ."""
    parts = {
        "title": (old.title, new.title),
        "risk": (old.risk, new.risk),
        "risk_class": (old.risk_class, new.risk_class),
        "stages": (old.statuses, new.statuses),
        "events": (old.events, new.events),
        "first_event": ((old.first_event, old.first_time), (new.first_event, new.first_time)),
        "last_event": ((old.last_event, old.last_time), (new.last_event, new.last_time)),
    }
    return tuple(name for name, (one, other) in parts.items() if one != other)
