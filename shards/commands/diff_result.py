"""The result of diff: alarms by kind and by directive, as every format shows it."""

from typing import Any

from msgspec import Struct

from shards.commands.directive_changes import DirectiveChange
from shards.commands.tables import count_stages, format_moment
from shards.replay.comparison import KINDS, AlarmPair, Differences
from shards.replay.tracked_replay import AlarmState
from shards.safe_text import shorten

MAX_TITLE = 100
MAX_EVENT_ID = 40


class DirectiveRow(Struct, frozen=True):
    """A directive: number of its alarms by kind, and what differs in the configs."""

    id: int
    name: str
    counts: dict[str, int]
    changes: tuple[str, ...]

    @property
    def differences(self) -> int:
        """Number of its alarms that differ."""
        return sum(self.counts.values()) - self.counts["unchanged"]


class DiffResult(Struct, frozen=True):
    """The differences of two configs on the same events.

    `events` received; `directives` of both configs by id; `warnings`: what makes the result
    doubtful.
    """

    events: int
    warnings: list[str]
    differences: Differences
    directives: dict[int, DirectiveChange]
    assets_differ: bool

    @property
    def totals(self) -> dict[str, int]:
        """Number of alarms by kind."""
        return self.differences.totals

    @property
    def rows(self) -> list[DirectiveRow]:
        """The directives with alarms that differ, or that differ themselves; most alarms first."""
        counts = self.differences.counts
        rows = [
            DirectiveRow(
                id_,
                directive.name,
                {kind: counts[id_][kind] if id_ in counts else 0 for kind in KINDS},
                directive.changes,
            )
            for id_, directive in self.directives.items()
        ]
        differing = [row for row in rows if row.differences or row.changes]
        return sorted(differing, key=lambda row: (-row.differences, row.id))

    @property
    def summary(self) -> str:
        """All in one line."""
        counts = ", ".join(f"{count:,} {kind}" for kind, count in self.totals.items())
        changed = sum(bool(directive.changes) for directive in self.directives.values())
        directives = "1 directive differs" if changed == 1 else f"{changed:,} directives differ"
        assets = "; the assets differ" if self.assets_differ else ""
        return f"{counts} alarms; {directives}{assets}; {self.events:,} events"

    def as_document(self) -> dict[str, Any]:
        """The result for programs."""
        found = self.differences
        listed = {"new": len(found.new), "gone": len(found.gone), "changed": len(found.changed)}
        return {
            "alarms": self.totals,
            "events": self.events,
            "warnings": self.warnings,
            "assets_differ": self.assets_differ,
            "directives": self.rows,
            "new": [_alarm_document(alarm) for alarm in found.new],
            "gone": [_alarm_document(alarm) for alarm in found.gone],
            "changed": [
                {
                    "alarm_id": pair.new.alarm_id,
                    "directive": pair.new.directive,
                    "differing": pair.differing,
                    "old": _alarm_document(pair.old),
                    "new": _alarm_document(pair.new),
                }
                for pair in found.changed
            ],
            "not_listed": {kind: self.totals[kind] - count for kind, count in listed.items()},
        }


def _alarm_document(alarm: AlarmState) -> dict[str, Any]:
    return {
        "alarm_id": alarm.alarm_id,
        "directive": alarm.directive,
        "title": alarm.title,
        "risk": alarm.risk,
        "risk_class": alarm.risk_class,
        "stages": alarm.statuses,
        "events": alarm.events,
        "first_event": {"id": alarm.first_event, "time": alarm.first_time},
        "last_event": {"id": alarm.last_event, "time": alarm.last_time},
    }


def describe_stages(alarm: AlarmState) -> str:
    """`2/3`, with `timeout` if a stage timed out."""
    return count_stages(alarm.statuses) + (" timeout" if "timeout" in alarm.statuses else "")


def describe_event(event_id: str, time: int) -> str:
    """`2025-03-04 08:00:00 ID`, with a long id cut."""
    return f"{format_moment(time)} {shorten(event_id, MAX_EVENT_ID)}"


def describe_change(pair: AlarmPair) -> list[str]:
    """What differs, a line each: `risk 5 Medium → 8 High`."""
    old, new = _parts(pair.old), _parts(pair.new)
    names = dict.fromkeys(part.removesuffix("_class") for part in pair.differing)
    return [f"{name.replace('_', ' ')} {old[name]} → {new[name]}" for name in names]


def _parts(alarm: AlarmState) -> dict[str, str]:
    return {
        "title": shorten(alarm.title, MAX_TITLE),
        "risk": f"{alarm.risk} {alarm.risk_class}",
        "stages": describe_stages(alarm),
        "events": f"{alarm.events:,}",
        "first_event": describe_event(alarm.first_event, alarm.first_time),
        "last_event": describe_event(alarm.last_event, alarm.last_time),
    }
