"""Snapshots of open backlogs: all state as plain data, and the restoration from it.

The sets of a backlog can be large, and only grow. So a snapshot can leave out leading items that
the caller holds already: then it costs what has changed.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from engine.address import canonical_ip
from engine.alarm import BacklogKey, CustomData, Hit, RuleRecord
from engine.correlation import compact_set
from engine.correlation.backlog import Backlog, RareData
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import (
    UNBOUND,
    BoundValues,
    CompiledDirective,
    can_be_title,
)
from engine.directives.json_document import describe_value
from engine.errors import Finding

T = TypeVar("T")
BoundValue = int | str
_INTEGERS = range(-(2**63), 2**64)
"""The integers that MessagePack and JSON decoders of 64 bits accept."""
_SHOWN_CHARACTERS = 200
"""Characters of a foreign text that a log line shows."""


class BacklogSnapshot(Struct, frozen=True, omit_defaults=True):
    """The state of an open backlog, as `Backlog` has it; times in seconds since the epoch.

    `ids_only`: it comes from a saved file, which has no identities; so an event with one of its ids
    is a repeat. `opening_id`: absent where `opened_by` is the event id, as it was in the past.
    `bound`: (stage, event field, value) of first events. `rules`: those of its rule variant, () if
    they are the directive's. `left_out`: by name of a set, the number of leading items that are not
    in this snapshot. `line_pending`: its alarm has changed since it was written. `asset_value`:
    the highest one of the addresses that were not kept.
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
    left_out: dict[str, int] = {}
    line_pending: bool = False
    asset_value: int = 0
    opening_id: str = ""
    ids_only: bool = False

    @property
    def key(self) -> BacklogKey:
        """The key that is unique among all open backlogs."""
        return self.directive, self.opened_by

    @property
    def sets(self) -> dict[str, tuple[Any, ...]]:
        """The items of each set by its name; `ids` and `sticky` have a name for each stage."""
        earlier = enumerate(self.earlier_ids, 1)
        return {
            **{f"ids.{stage}": ids for stage, ids in earlier},
            f"ids.{len(self.starts)}": self.ids,
            f"sticky.{len(self.starts)}": self.sticky,
            **{name: getattr(self, name) for name in _NAMED_SETS},
        }

    def with_sets(
        self, sets: Mapping[str, tuple[Any, ...]], left_out: dict[str, int]
    ) -> "BacklogSnapshot":
        """The same snapshot with these items of all sets."""
        stage = len(self.starts)
        return replace(
            self,
            ids=sets[f"ids.{stage}"],
            sticky=sets[f"sticky.{stage}"],
            earlier_ids=tuple(sets[f"ids.{n}"] for n in range(1, len(self.earlier_ids) + 1)),
            left_out=left_out,
            **{name: sets[name] for name in _NAMED_SETS},
        )


_NAMED_SETS = ("src_ips", "dst_ips", "custom_data", "pairs", "intel_hits", "vulnerabilities")
"""The sets that do not belong to a stage; their names are those of their fields."""


class HeldItems(Struct, frozen=True):
    """Leading items of the sets of a backlog that the caller holds already.

    `order`: that of the backlog, to tell it from an earlier one that the same event opened.
    `numbers`: by name of the set, see `BacklogSnapshot.sets`.
    """

    order: int
    numbers: Mapping[str, int]


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


def take_snapshot(
    backlog: Backlog, held: HeldItems | None = None, *, line_pending: bool = False
) -> BacklogSnapshot:
    """A snapshot of a backlog, without the items that are held already.

    `line_pending`: its alarm has changed since it was written.
    """
    left_out = {} if held is None else _left_out(backlog, held)

    def items(name: str, items_: CompactSet[T]) -> tuple[T, ...]:
        return compact_set.items_after(items_, left_out.get(name, 0))

    stage, data = len(backlog.starts), backlog.rare_data
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
        ids=items(f"ids.{stage}", backlog.ids),
        earlier_ids=tuple(items(f"ids.{n}", ids) for n, ids in enumerate(backlog.earlier_ids, 1)),
        sticky=items(f"sticky.{stage}", backlog.sticky),
        bound=tuple((slot.stage, slot.field, v) for slot, v in slots if v is not UNBOUND),
        src_ips=items("src_ips", backlog.src_ips),
        dst_ips=items("dst_ips", backlog.dst_ips),
        custom_data=items("custom_data", backlog.custom_data),
        pairs=() if data is None else items("pairs", data.pairs),
        order=backlog.order,
        rules=backlog.compiled.directive.rules if backlog.compiled.variant else (),
        intel_hits=() if data is None else items("intel_hits", data.hits.get("intel")),
        vulnerabilities=() if data is None else items("vulnerabilities", data.hits.get("vuln")),
        left_out=left_out,
        line_pending=line_pending,
        asset_value=0 if data is None else data.asset_value,
        opening_id=backlog.opening_id,
    )


def _left_out(backlog: Backlog, held: HeldItems) -> dict[str, int]:
    """The held items that are of this backlog, and of sets that it still has."""
    if held.order != backlog.order:
        return {}
    data, stage = backlog.rare_data or RareData(), len(backlog.starts)
    sizes = {f"ids.{n}": compact_set.size(ids) for n, ids in enumerate(backlog.earlier_ids, 1)}
    sizes |= {
        f"ids.{stage}": compact_set.size(backlog.ids),
        f"sticky.{stage}": compact_set.size(backlog.sticky),
        "src_ips": compact_set.size(backlog.src_ips),
        "dst_ips": compact_set.size(backlog.dst_ips),
        "custom_data": compact_set.size(backlog.custom_data),
        "pairs": compact_set.size(data.pairs),
        "intel_hits": compact_set.size(data.hits.get("intel")),
        "vulnerabilities": compact_set.size(data.hits.get("vuln")),
    }
    return {name: number for name, number in held.numbers.items() if number <= sizes.get(name, 0)}


def restore_backlog(compiled: CompiledDirective, youngest: int, state: BacklogSnapshot) -> Backlog:
    """The backlog of a snapshot; its `order` is at least `youngest`.

    `compiled`: the directive, with the rules of the snapshot if it has any. UnusableBacklogError if
    the snapshot does not fit the directive.
    """
    _check(compiled, state)
    backlog = Backlog(compiled, max(youngest, state.order))
    backlog.opened_by = state.opened_by
    backlog.opening_id = state.opening_id or state.opened_by
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
    if stage > stages:
        raise UnusableBacklogError(
            f"it has finished {stage - 1} stages, the directive has {stages}"
        )
    if not all(number in _INTEGERS for number in numbers):
        raise UnusableBacklogError("a time in it is out of range")
    if not (0 <= state.risk < 2**63 and 0 <= state.asset_value < 2**63):
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
