"""Snapshots of open backlogs: all state as plain data.

The sets of a backlog can be large, and only grow. So a snapshot can leave out leading items that
the caller holds already: then it costs what has changed.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from engine.alarm import BacklogKey, CustomData, Hit, RuleRecord
from engine.correlation import compact_set
from engine.correlation.any_order_backlog import AnyOrderBacklog
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import UNBOUND
from engine.correlation.kept_items import RareData
from engine.directives.directive import Directive
from engine.errors import Finding

T = TypeVar("T")
BoundValue = int | str
_SHOWN_CHARACTERS = 200
"""Characters of a foreign text that a log line shows."""


class BacklogSnapshot(Struct, frozen=True, omit_defaults=True):
    """The state of an open backlog, as `Backlog` has it; times in seconds since the epoch.

    `ids_only`: it comes from a saved file, which has no identities; so an event with one of its ids
    is a repeat. `opening_id`: absent where `opened_by` is the event id, as it was in the past.
    `bound`: (stage, event field, value) of first events. `definition`: the former definition of the
    directive that it is under, None for the present one; `rules`: its rules, where only these are
    known to differ, else (). `left_out`: by name of a set, the number of leading items that are not
    in this snapshot. `line_pending`: its alarm has changed since it was written. `asset_value`:
    the highest one of the addresses that were not kept. `finished_stages`, `open_ids` and
    `open_sticky`: of stages in any order, by their number, in place of `ids` and `sticky`.
    `published`: number of finished stages in the last line, if it has not all that are finished.
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
    definition: Directive | None = None
    published: int = 0
    finished_stages: tuple[int, ...] = ()
    open_ids: dict[int, tuple[str, ...]] = {}
    open_sticky: dict[int, tuple[BoundValue, ...]] = {}

    @property
    def key(self) -> BacklogKey:
        """The key that is unique among all open backlogs."""
        return self.directive, self.opened_by

    @property
    def sets(self) -> dict[str, tuple[Any, ...]]:
        """The items of each set by its name; `ids` and `sticky` have a name for each stage."""
        return self._sets_of_stages | {name: getattr(self, name) for name in _NAMED_SETS}

    @property
    def _sets_of_stages(self) -> dict[str, tuple[Any, ...]]:
        if self.finished_stages:
            ids = {f"ids.{stage}": items for stage, items in self.open_ids.items()}
            return ids | {f"sticky.{stage}": items for stage, items in self.open_sticky.items()}
        earlier = enumerate(self.earlier_ids, 1)
        return {
            **{f"ids.{stage}": ids for stage, ids in earlier},
            f"ids.{len(self.starts)}": self.ids,
            f"sticky.{len(self.starts)}": self.sticky,
        }

    def with_sets(
        self, sets: Mapping[str, tuple[Any, ...]], left_out: dict[str, int]
    ) -> "BacklogSnapshot":
        """The same snapshot with these items of all sets."""
        named = {name: sets[name] for name in _NAMED_SETS}
        if self.finished_stages:
            return replace(
                self,
                open_ids={n: sets[f"ids.{n}"] for n in self.open_ids},
                open_sticky={n: sets[f"sticky.{n}"] for n in self.open_sticky},
                left_out=left_out,
                **named,
            )
        stage = len(self.starts)
        return replace(
            self,
            ids=sets[f"ids.{stage}"],
            sticky=sets[f"sticky.{stage}"],
            earlier_ids=tuple(sets[f"ids.{n}"] for n in range(1, len(self.earlier_ids) + 1)),
            left_out=left_out,
            **named,
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
    return f"its rules are not those of the directive, nor valid: {describe_fault(finding)}"


def describe_fault(finding: Finding) -> str:
    """A fault of a directive, with the field and the stage that have it."""
    where = f" of stage {finding.stage}" if finding.stage else ""
    return f"{finding.field}{where} {finding.message}"


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
    taken = BacklogSnapshot(
        directive=backlog.compiled.directive.id,
        opened_by=backlog.opened_by,
        alarm_id=backlog.alarm_id,
        title=backlog.title,
        risk=backlog.risk,
        starts=backlog.starts,
        expires_at=backlog.expires_at,
        updated=backlog.updated,
        created=backlog.created,
        published=0 if backlog.published == len(backlog.starts) - 1 else backlog.published,
        ids=items(f"ids.{stage}", backlog.ids),
        earlier_ids=tuple(items(f"ids.{n}", ids) for n, ids in enumerate(backlog.earlier_ids, 1)),
        sticky=items(f"sticky.{stage}", backlog.sticky),
        bound=tuple((slot.stage, slot.field, v) for slot, v in slots if v is not UNBOUND),
        src_ips=items("src_ips", backlog.src_ips),
        dst_ips=items("dst_ips", backlog.dst_ips),
        custom_data=items("custom_data", backlog.custom_data),
        pairs=() if data is None else items("pairs", data.pairs),
        order=backlog.order,
        intel_hits=() if data is None else items("intel_hits", data.hits.get("intel")),
        vulnerabilities=() if data is None else items("vulnerabilities", data.hits.get("vuln")),
        left_out=left_out,
        line_pending=line_pending,
        asset_value=0 if data is None else data.asset_value,
        opening_id=backlog.opening_id,
        definition=backlog.compiled.directive if backlog.compiled.former else None,
    )
    if not isinstance(backlog, AnyOrderBacklog):
        return taken
    return replace(
        taken,
        finished_stages=backlog.finished_stages,
        open_ids={n: items(f"ids.{n}", ids) for n, ids in backlog.open_ids.items()},
        open_sticky={n: items(f"sticky.{n}", some) for n, some in backlog.open_sticky.items()},
    )


def _left_out(backlog: Backlog, held: HeldItems) -> dict[str, int]:
    """The held items that are of this backlog, and of sets that it still has."""
    if held.order != backlog.order:
        return {}
    data = backlog.rare_data or RareData()
    sizes = {f"ids.{n}": compact_set.size(ids) for n, ids in enumerate(backlog.earlier_ids, 1)}
    for stage in backlog.open_stages:
        sizes[f"ids.{stage}"] = compact_set.size(backlog.ids_of(stage))
        sizes[f"sticky.{stage}"] = compact_set.size(backlog.sticky_of(stage))
    sizes |= {
        "src_ips": compact_set.size(backlog.src_ips),
        "dst_ips": compact_set.size(backlog.dst_ips),
        "custom_data": compact_set.size(backlog.custom_data),
        "pairs": compact_set.size(data.pairs),
        "intel_hits": compact_set.size(data.hits.get("intel")),
        "vulnerabilities": compact_set.size(data.hits.get("vuln")),
    }
    return {name: number for name, number in held.numbers.items() if number <= sizes.get(name, 0)}
