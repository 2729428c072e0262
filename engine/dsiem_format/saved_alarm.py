"""Saved backlogs of dsiem-backend: alarm records with the event ids and sticky values of stages."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import asdict, replace

from engine.alarm import AlarmRecord, RuleRecord
from engine.correlation import compact_set
from engine.correlation.alarm_builder import build_alarm, build_rules
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import CompiledDirective, ReferencePlaces
from engine.correlation.restoration import canonical_addresses
from engine.correlation.snapshot import BacklogSnapshot, UnusableBacklogError
from engine.directives.directive import Directive
from engine.directives.portability import is_portable
from engine.dsiem_format.saved_rules import bound_values, restore_rules
from engine.options import Options


class StickyValues(Struct, frozen=True):
    """The sticky values of a stage, texts and whole numbers."""

    sdiff_string: tuple[str, ...] = ()
    sdiff_int: tuple[int, ...] = ()


class SavedRule(RuleRecord, frozen=True, omit_defaults=True):
    """A rule of a saved alarm, with the ids and sticky values of the events of its stage."""

    saved_event_ids: tuple[str, ...] = ()
    saved_sticky_diffdata: StickyValues | None = None


class SavedAlarm(AlarmRecord, frozen=True, omit_defaults=True):
    """An open backlog as an alarm record; created_time is 0 if it was never published."""

    rules: tuple[SavedRule, ...]


Printed = tuple[tuple[SavedRule, ReferencePlaces], ...]
"""Like `CompiledDirective.printed_rules`."""


def are_portable(backlogs: Iterable[Backlog]) -> bool:
    """Whether other Dsiem backends read the definitions of these backlogs as they are meant."""
    definitions = {backlog.compiled for backlog in backlogs}
    return all(is_portable(compiled.directive) for compiled in definitions)


def saved_alarms(backlogs: Iterable[Backlog]) -> Iterator[SavedAlarm]:
    """The open backlogs of a directive in saved form; lazily, since there may be many."""
    printed_rules: dict[CompiledDirective, Printed] = {}
    for backlog in backlogs:
        if (printed := printed_rules.get(backlog.compiled)) is None:
            rules = ((SavedRule(**asdict(rule)), at) for rule, at in backlog.compiled.printed_rules)
            printed = printed_rules[backlog.compiled] = tuple(rules)
        saved = tuple(_with_saved_events(backlog, rule) for rule in build_rules(backlog, printed))
        yield build_alarm(backlog, SavedAlarm, saved)


def _with_saved_events(backlog: Backlog, rule: SavedRule) -> SavedRule:
    """The rule with the event ids and sticky values of its stage."""
    ids = _ids_of(backlog, rule.stage)
    if not ids:
        return rule
    sticky = _sticky_values(backlog.sticky) if rule.stage == backlog.stage else None
    return replace(rule, saved_event_ids=ids, saved_sticky_diffdata=sticky)


def _ids_of(backlog: Backlog, stage: int) -> tuple[str, ...]:
    """The event ids of a stage that are still known; of stage 1 at least the opening event."""
    known: CompactSet[str] = backlog.ids if stage == backlog.stage else None
    if stage <= len(backlog.earlier_ids):
        known = backlog.earlier_ids[stage - 1]
    if known is None and stage == 1:
        known = backlog.opening_id
    return tuple(compact_set.items(known))


def _sticky_values(sticky: CompactSet[int | str]) -> StickyValues | None:
    if sticky is None:
        return None
    values = tuple(compact_set.items(sticky))
    return StickyValues(
        tuple(value for value in values if isinstance(value, str)),
        tuple(value for value in values if isinstance(value, int)),
    )


def snapshot_from_alarm(
    alarm: SavedAlarm, directive: Directive, options: Options
) -> BacklogSnapshot:
    """The snapshot of the backlog in a saved alarm; UnusableBacklogError if it has none.

    Rules, times and ids come from the alarm, priority and flags from the directive.
    """
    printed = _in_order(alarm.rules)
    stage = _current(printed)
    current = printed[stage - 1]
    rules = restore_rules(printed, directive)
    starts = tuple(_starts(alarm, printed[:stage]))
    src_ips, dst_ips = canonical_addresses(alarm.src_ips), canonical_addresses(alarm.dst_ips)
    only = {"src_ip": _only(src_ips), "dst_ip": _only(dst_ips)}
    return BacklogSnapshot(
        directive=directive.id,
        opened_by=alarm.alarm_id,
        opening_id=next(iter(printed[0].saved_event_ids), ""),
        ids_only=True,
        alarm_id=alarm.alarm_id,
        title=alarm.title,
        risk=alarm.risk,
        starts=starts,
        expires_at=starts[-1] + rules[stage - 1].timeout + options.min_alarm_lifetime + 1,
        updated=alarm.update_time,
        created=alarm.created_time or None,
        ids=current.saved_event_ids,
        earlier_ids=tuple(rule.saved_event_ids for rule in printed[: stage - 1]),
        sticky=_values_of(current.saved_sticky_diffdata),
        bound=tuple(bound_values(printed, rules, only, directive)),
        src_ips=src_ips,
        dst_ips=dst_ips,
        custom_data=alarm.custom_data,
        intel_hits=alarm.intel_hits,
        vulnerabilities=alarm.vulnerabilities,
        rules=() if rules == directive.rules else rules,
    )


def _in_order(rules: Sequence[SavedRule]) -> list[SavedRule]:
    """The rules in the order of their stages; UnusableBacklogError unless there is one for each."""
    ordered = sorted(rules, key=lambda rule: rule.stage)
    if [rule.stage for rule in ordered] != list(range(1, len(ordered) + 1)):
        raise UnusableBacklogError("its rules are not one for each stage from 1 on")
    return ordered


def _current(rules: Sequence[SavedRule]) -> int:
    """The current stage: the lowest one without a status."""
    for rule in rules:
        if rule.status == "timeout":
            raise UnusableBacklogError(f"its stage {rule.stage} has timed out")
        if not rule.status:
            return rule.stage
    raise UnusableBacklogError("all of its stages are finished")


def _starts(alarm: SavedAlarm, begun: Sequence[SavedRule]) -> Iterator[int]:
    """The start time of each stage; if the alarm has none, the end of the stage before."""
    ended = 0
    for rule in begun:
        yield rule.start_time or ended or alarm.created_time or alarm.update_time
        ended = rule.end_time


def _only(addresses: tuple[str, ...]) -> str | None:
    return addresses[0] if len(addresses) == 1 else None


def _values_of(sticky: StickyValues | None) -> tuple[int | str, ...]:
    return (*sticky.sdiff_int, *sticky.sdiff_string) if sticky else ()
