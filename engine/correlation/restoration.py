"""Restores open backlogs from their snapshots, which may be of hostile files."""

from collections.abc import Iterable

from msgspec.structs import replace

from engine.address import canonical_ip
from engine.correlation import compact_set
from engine.correlation.any_order_backlog import AnyOrderBacklog, backlog_type
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import (
    UNBOUND,
    BoundValues,
    CompiledDirective,
    can_be_title,
)
from engine.correlation.snapshot import BacklogSnapshot, UnusableBacklogError, describe_fault
from engine.directives.directive import Directive
from engine.directives.json_document import describe_value
from engine.errors import Finding

_INTEGERS = range(-(2**63), 2**64)
"""The integers that MessagePack and JSON decoders of 64 bits accept."""


def definition_of(state: BacklogSnapshot, present: Directive) -> Directive:
    """The definition that a backlog is under, `present` being that of its directive.

    UnusableBacklogError if it is that of another directive.
    """
    definition = state.definition or present
    if definition.id != present.id:
        raise UnusableBacklogError(f"its definition is that of directive {definition.id}")
    return replace(definition, rules=state.rules) if state.rules else definition


def describe_invalid_definition(finding: Finding) -> str:
    """The reason why a backlog under a definition with this fault cannot be restored."""
    return f"its definition is not that of the directive, nor valid: {describe_fault(finding)}"


def restore_backlog(compiled: CompiledDirective, youngest: int, state: BacklogSnapshot) -> Backlog:
    """The backlog of a snapshot; its `order` is at least `youngest`.

    `compiled`: the definition that it is under. UnusableBacklogError if the snapshot does not fit
    it.
    """
    _check(compiled, state)
    backlog = backlog_type(compiled)(compiled, max(youngest, state.order))
    backlog.opened_by = state.opened_by
    backlog.opening_id = state.opening_id or state.opened_by
    backlog.alarm_id = state.alarm_id
    backlog.title = state.title
    backlog.risk = state.risk
    backlog.starts = state.starts
    backlog.expires_at = state.expires_at
    backlog.updated = state.updated
    backlog.created = state.created
    if state.created is not None:
        backlog.published = state.published or len(state.starts) - 1
    backlog.ids = compact_set.from_items(state.ids)
    backlog.earlier_ids = _earlier_ids(compiled, state)
    backlog.sticky = compact_set.from_items(state.sticky if _is_sticky(compiled, state) else ())
    if isinstance(backlog, AnyOrderBacklog):
        _restore_stages(backlog, state)
    elif state.finished_stages:
        raise UnusableBacklogError("its stages are in any order, those of its directive are not")
    backlog.bound = _bound(compiled, state)
    backlog.src_ips = compact_set.from_items(canonical_addresses(state.src_ips))
    backlog.dst_ips = compact_set.from_items(canonical_addresses(state.dst_ips))
    backlog.custom_data = compact_set.from_items(state.custom_data)
    backlog.keep_asset_value(state.asset_value)
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
    if not 0 <= state.published < stage:
        raise UnusableBacklogError("its last line has more stages than it has finished")
    if stage > stages:
        raise UnusableBacklogError(
            f"it has finished {stage - 1} stages, the directive has {stages}"
        )
    if not all(number in _INTEGERS for number in numbers):
        raise UnusableBacklogError("a time in it is out of range")
    if not (0 <= state.risk < 2**63 and 0 <= state.asset_value < 2**63):
        raise UnusableBacklogError("its risk is out of range")


def _restore_stages(backlog: AnyOrderBacklog, state: BacklogSnapshot) -> None:
    """Set the stages of a backlog in any order; UnusableBacklogError if they do not fit."""
    finished = state.finished_stages
    backlog.begin_stages(finished)
    opened = backlog.open_ids.keys()
    every = range(1, len(backlog.compiled.rules) + 1)
    fits = sorted((*finished, *opened)) == [*every] and len(finished) == len(state.starts) - 1
    if not (fits and finished[0] == 1 and opened >= state.open_ids.keys()):
        raise UnusableBacklogError("its finished stages are not those that its directive can have")
    for stage in opened:
        backlog.open_ids[stage] = compact_set.from_items(state.open_ids.get(stage, ()))
        if backlog.compiled.rules[stage - 1].sticky_values is not None:
            sticky = compact_set.from_items(state.open_sticky.get(stage, ()))
            backlog.open_sticky[stage] = sticky


def _is_sticky(compiled: CompiledDirective, state: BacklogSnapshot) -> bool:
    return compiled.rules[len(state.starts) - 1].sticky_values is not None


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
