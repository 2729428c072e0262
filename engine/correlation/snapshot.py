"""Snapshots of open backlogs: all state as plain data, and the restoration from it."""

from collections.abc import Iterable

from msgspec import Struct

from engine.address import canonical_ip
from engine.alarm import BacklogKey, CustomData, Hit, RuleRecord
from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import (
    UNBOUND,
    BoundValues,
    CompiledDirective,
    can_be_title,
)
from engine.directives.json_document import describe_value
from engine.errors import Finding

BoundValue = int | str
_INTEGERS = range(-(2**63), 2**64)
"""The integers that MessagePack and JSON decoders of 64 bits accept."""
_SHOWN_CHARACTERS = 200
"""Characters of a foreign text that a log line shows."""


class BacklogSnapshot(Struct, frozen=True, omit_defaults=True):
    """The state of an open backlog, as `Backlog` has it; times in seconds since the epoch.

    `bound`: (stage, event field, value) of first events. `rules`: those of its rule variant, () if
    they are the directive's.
    """

    directive: int
    opened_by: str
    alarm_id: str
    title: str
    risk: int
    starts: tuple[int, ...]
    expires_at: int
    updated: int
    created: int | None = None
    ids: tuple[str, ...] = ()
    earlier_ids: tuple[tuple[str, ...], ...] = ()
    sticky: tuple[BoundValue, ...] = ()
    bound: tuple[tuple[int, str, BoundValue], ...] = ()
    src_ips: tuple[str, ...] = ()
    dst_ips: tuple[str, ...] = ()
    custom_data: tuple[CustomData, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()
    order: int = 0
    rules: tuple[RuleRecord, ...] = ()
    intel_hits: tuple[Hit, ...] = ()
    vulnerabilities: tuple[Hit, ...] = ()

    @property
    def key(self) -> BacklogKey:
        """The key that is unique among all open backlogs."""
        return self.directive, self.opened_by


class DroppedBacklog(Struct, frozen=True):
    """A saved backlog that was not restored; `reason` is for people, with "it" as the backlog."""

    directive: int
    alarm_id: str
    title: str
    reason: str


class UnusableBacklogError(ValueError):
    """A saved backlog cannot be restored; the text is for people, with "it" as the backlog."""

    def dropped(self, directive: int, alarm_id: str, title: str) -> DroppedBacklog:
        """The record of the dropped backlog; long texts are cut, since the file may be hostile."""
        return DroppedBacklog(
            directive, alarm_id[:_SHOWN_CHARACTERS], title[:_SHOWN_CHARACTERS], str(self)
        )


def describe_invalid_rules(finding: Finding) -> str:
    """The reason why a backlog whose rules have this fault cannot be restored."""
    where = f" of stage {finding.stage}" if finding.stage else ""
    fault = f"{finding.field}{where} {finding.message}"
    return f"its rules are not those of the directive, nor valid: {fault}"


def take_snapshot(backlog: Backlog) -> BacklogSnapshot:
    """A snapshot of a backlog."""
    slots = zip(backlog.compiled.slots, backlog.bound, strict=False)
    return BacklogSnapshot(
        directive=backlog.compiled.directive.id,
        opened_by=backlog.opened_by,
        alarm_id=backlog.alarm_id,
        title=backlog.title,
        risk=backlog.risk,
        starts=backlog.starts,
        expires_at=backlog.expires_at,
        updated=backlog.updated,
        created=backlog.created,
        ids=tuple(compact_set.items(backlog.ids)),
        earlier_ids=tuple(tuple(compact_set.items(ids)) for ids in backlog.earlier_ids),
        sticky=tuple(compact_set.items(backlog.sticky)),
        bound=tuple((slot.stage, slot.field, v) for slot, v in slots if v is not UNBOUND),
        src_ips=tuple(compact_set.items(backlog.src_ips)),
        dst_ips=tuple(compact_set.items(backlog.dst_ips)),
        custom_data=tuple(compact_set.items(backlog.custom_data)),
        pairs=backlog.pairs,
        order=backlog.order,
        rules=backlog.compiled.directive.rules if backlog.compiled.variant else (),
        intel_hits=backlog.hits_of_kind("intel"),
        vulnerabilities=backlog.hits_of_kind("vuln"),
    )


def restore_backlog(compiled: CompiledDirective, youngest: int, state: BacklogSnapshot) -> Backlog:
    """The backlog of a snapshot; its `order` is at least `youngest`.

    `compiled`: the directive, with the rules of the snapshot if it has any. UnusableBacklogError if
    the snapshot does not fit the directive.
    """
    _check(compiled, state)
    backlog = Backlog(compiled, max(youngest, state.order))
    backlog.opened_by = state.opened_by
    backlog.alarm_id = state.alarm_id
    backlog.title = state.title
    backlog.risk = state.risk
    backlog.starts = state.starts
    backlog.expires_at = state.expires_at
    backlog.updated = state.updated
    backlog.created = state.created
    backlog.ids = compact_set.from_items(state.ids)
    backlog.earlier_ids = _earlier_ids(compiled, state)
    backlog.sticky = compact_set.from_items(state.sticky if _is_sticky(compiled, state) else ())
    backlog.bound = _bound(compiled, state)
    backlog.src_ips = compact_set.from_items(canonical_addresses(state.src_ips))
    backlog.dst_ips = compact_set.from_items(canonical_addresses(state.dst_ips))
    backlog.custom_data = compact_set.from_items(state.custom_data)
    if state.pairs:
        backlog.add_pairs(state.pairs)
    if state.intel_hits or state.vulnerabilities:
        backlog.enrich("intel", state.intel_hits)
        backlog.enrich("vuln", state.vulnerabilities)
    return backlog


def _check(compiled: CompiledDirective, state: BacklogSnapshot) -> None:
    stage, stages = len(state.starts), len(compiled.rules)
    numbers = (*state.starts, state.expires_at, state.updated, state.created or 0, state.order)
    if not state.alarm_id:
        raise UnusableBacklogError("it has no alarm_id")
    if not can_be_title(state.title, compiled.directive.name):
        raise UnusableBacklogError(
            f"its title is not that of the directive, {compiled.directive.name!r}"
        )
    if stage < 2:
        raise UnusableBacklogError("its first stage is not finished")
    if stage > stages:
        raise UnusableBacklogError(
            f"it has finished {stage - 1} stages, the directive has {stages}"
        )
    if not all(number in _INTEGERS for number in numbers):
        raise UnusableBacklogError("a time in it is out of range")
    if not 0 <= state.risk < 2**63:
        raise UnusableBacklogError("its risk is out of range")


def _is_sticky(compiled: CompiledDirective, state: BacklogSnapshot) -> bool:
    return compiled.rules[len(state.starts) - 1].sticky_value is not None


def _earlier_ids(
    compiled: CompiledDirective, state: BacklogSnapshot
) -> tuple[CompactSet[str], ...]:
    """A set for each earlier stage; empty where the snapshot has none."""
    if not compiled.directive.always_active:
        return ()
    earlier = len(state.starts) - 1
    known = state.earlier_ids[:earlier]
    return (*map(compact_set.from_items, known), *(None for _ in range(earlier - len(known))))


def canonical_addresses(texts: Iterable[str]) -> tuple[str, ...]:
    """The addresses in canonical form, each once; UnusableBacklogError for an invalid one."""
    return tuple(dict.fromkeys(map(_address, texts)))


def _address(text: str) -> str:
    try:
        return canonical_ip(text)
    except ValueError:
        raise UnusableBacklogError(f"an address in it is {describe_value(text)}") from None


def _bound(compiled: CompiledDirective, state: BacklogSnapshot) -> BoundValues:
    """The values of all slots whose stage has had its first event; UNBOUND where it is unknown."""
    known = {(stage, field): value for stage, field, value in state.bound}
    stage = len(state.starts)
    begun = stage if state.ids else stage - 1
    return tuple(
        known.get((slot.stage, slot.field), UNBOUND)
        for slot in compiled.slots
        if slot.stage <= begun
    )
