"""One open backlog: the state machine of a directive that an event has opened.

It consumes events that match the rule of a stage; finding them is the work of
directive_backlogs.py. Everything that all backlogs of a directive share is in `CompiledDirective`.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

from engine.alarm import (
    MAX_ITEMS,
    UNSPECIFIED_ADDRESSES,
    BacklogKey,
    CustomData,
    Hit,
    LookupKind,
    alarm_id,
)
from engine.asset import AddressInfo
from engine.correlation import compact_set
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import BoundValues, CompiledDirective
from engine.directives.rule import CompiledRule
from engine.event import NormalizedEvent

T = TypeVar("T")

_UNSPECIFIED = "0.0.0.0"

EventOutcome = Literal["taken", "finished", "sticky_seen", "out_of_order"]
"""How a backlog consumed an event; `finished`: it was taken and completed the stage."""


class RareData:
    """What only backlogs with lookups, or with more addresses than MAX_ITEMS, have.

    `pairs`: addresses with ports to look up. `hits`: those found, by kind. `asset_value`: the
    highest one of the addresses that were not kept.
    """

    __slots__ = ("asset_value", "hits", "pairs")

    def __init__(self) -> None:
        self.asset_value = 0
        self.pairs: CompactSet[tuple[str, int]] = None
        self.hits: dict[LookupKind, CompactSet[Hit]] = {}


class Backlog:
    """The state of one backlog; times in seconds since the epoch.

    `opened_by`: the identity of the opening event as a text that no other open backlog of the
    directive has: the alarm id, if possible; `opening_id`: the id of that event. `order`: age among
    the backlogs of the directive, lower is older. `bound`: values of first events that rules refer
    to. `starts`: start times of the stages up to the current one; a stage ends when the next one
    starts. `ids`, `sticky`: event ids and sticky values of the current stage, an id for each event
    taken. `earlier_ids`: event ids of each earlier stage, only for all_rules_always_active.
    `shares_alarm`: another backlog of the same opening event has written, or may write, the alarm.
    """

    __slots__ = (
        "alarm_id",
        "bound",
        "compiled",
        "created",
        "custom_data",
        "dst_ips",
        "earlier_ids",
        "expires_at",
        "ids",
        "opened_by",
        "opening_id",
        "order",
        "rare_data",
        "risk",
        "shares_alarm",
        "src_ips",
        "starts",
        "sticky",
        "title",
        "updated",
    )

    opened_by: str
    opening_id: str
    alarm_id: str
    title: str
    risk: int
    bound: BoundValues
    starts: tuple[int, ...]
    expires_at: int
    updated: int
    src_ips: CompactSet[str]
    dst_ips: CompactSet[str]

    def __init__(self, compiled: CompiledDirective, order: int) -> None:
        """Make an empty backlog, to be filled by `open` or by `snapshot.restore_backlog`."""
        self.compiled = compiled
        self.order = order
        self.created: int | None = None
        self.ids: CompactSet[str] = None
        self.earlier_ids: tuple[CompactSet[str], ...] = ()
        self.sticky: CompactSet[int | str] = None
        self.custom_data: CompactSet[CustomData] = None
        self.rare_data: RareData | None = None
        self.shares_alarm = False

    def open(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int) -> None:
        """Take the opening event, which finishes stage 1; `now` in seconds since the epoch.

        Faster than `consume`, since there is no earlier state; opening is the most frequent case.
        """
        compiled = self.compiled
        directive, rule = compiled.directive, compiled.rules[0].record
        self.opening_id = event.event_id
        self.opened_by = self.alarm_id = alarm_id(event.identity ^ compiled.salt)
        self.title = compiled.title(event, src, dst) if compiled.title_template else directive.name
        self.risk = directive.priority * rule.reliability * max(src.value, dst.value) // 25
        self.bound = compiled.first_event_values[0](event)
        self.starts = (event.time, event.time)
        self.updated = now
        self.src_ips = event.src_ip
        self.dst_ips = event.dst_ip
        if directive.always_active:
            self.earlier_ids = (event.event_id,)
        self._record_event(event, now)

    @property
    def key(self) -> BacklogKey:
        """The key that is unique among all open backlogs."""
        return self.compiled.directive.id, self.opened_by

    @property
    def stage(self) -> int:
        """The current stage, from 1; one more than the last stage when all are finished."""
        return len(self.starts)

    @property
    def closed(self) -> bool:
        """Whether the last stage is finished."""
        return self.stage > len(self.compiled.rules)

    def consume(self, event: NormalizedEvent, now: int) -> EventOutcome:
        """Consume an event that matches the rule of the current stage."""
        starts = self.starts
        compiled = self.compiled
        rule = compiled.rules[len(starts) - 1]
        if rule.sticky_values is not None and compact_set.contains_any(
            self.sticky, rule.sticky_values(event)
        ):
            return "sticky_seen"
        latest_end = starts[1] if len(starts) == 2 else max(starts[1:])
        if event.time + compiled.options.out_of_order_tolerance <= latest_end:
            return "out_of_order"
        ids = self.ids
        if isinstance(ids, dict) and event.event_id not in ids:  # as _add_id, but faster
            ids[event.event_id] = None
            number = len(ids)
        else:
            if ids is None:
                self.bound += compiled.first_event_values[len(starts) - 1](event)
            self.ids = _add_id(ids, event.event_id)
            number = compact_set.size(self.ids)
        if rule.sticky_values is not None:
            for value in rule.sticky_values(event):
                self.sticky = compact_set.add(self.sticky, value)
        self._record_event(event, now)
        if number < rule.record.occurrence:
            return "taken"
        self._finish_stage(rule, event.time)
        return "finished"

    def take_at_earlier_stage(self, stage: int, event: NormalizedEvent, now: int) -> None:
        """Take an event that matches the rule of an earlier stage, if all rules are active."""
        ids = self.earlier_ids[stage - 1]
        added = _add_id(ids, event.event_id)
        if added is not ids:
            self.earlier_ids = (*self.earlier_ids[: stage - 1], added, *self.earlier_ids[stage:])
        self._record_event(event, now)

    def _record_event(self, event: NormalizedEvent, now: int) -> None:
        """Record the addresses, custom data and time of an event taken at any stage."""
        if event.src_ip != self.src_ips:
            self.src_ips = self._add_address("src_ips", self.src_ips, event.src_ip)
        if event.dst_ip != self.dst_ips:
            self.dst_ips = self._add_address("dst_ips", self.dst_ips, event.dst_ip)
        if now > self.updated:  # noqa: PLR1730 - twice as fast as max()
            self.updated = now
        if event.custom_data1 or event.custom_data2 or event.custom_data3:
            for custom in _custom_data(event):
                self.custom_data = self._add_item("custom_data", self.custom_data, custom)
        if self.compiled.options.lookups:
            self.add_pairs(_pairs(event))

    def _add_item(self, name: str, items: CompactSet[T], item: T) -> CompactSet[T]:
        """A set with an item added, unless it is full: then the item is counted by this name."""
        if isinstance(items, dict) and len(items) >= MAX_ITEMS and item not in items:
            self.compiled.capped[name] += 1
            return items
        return compact_set.add(items, item)

    def _add_address(self, name: str, addresses: CompactSet[str], address: str) -> CompactSet[str]:
        """Add an address to one side; 0.0.0.0 stays only while it is the only one."""
        if address == _UNSPECIFIED and addresses is not None:
            return addresses
        if addresses == _UNSPECIFIED:
            return address
        added = self._add_item(name, addresses, address)
        if not compact_set.contains(added, address):
            self.keep_asset_value(self.compiled.assets.address_info(address).value)
        return added

    def keep_asset_value(self, value: int) -> None:
        """Keep the asset value of an address that is not kept itself: the risk depends on it."""
        if value:
            data = self.rare_data = self.rare_data or RareData()
            data.asset_value = max(data.asset_value, value)

    def _finish_stage(self, rule: CompiledRule, time: int) -> None:
        """Finish the current stage at this event time, and start the next one."""
        directive = self.compiled.directive
        self.risk = directive.priority * rule.record.reliability * self._max_asset_value() // 25
        if directive.always_active:
            self.earlier_ids += (self.ids,)
        self.ids = self.sticky = None
        self.starts += (time,)

    def enrich(self, kind: LookupKind, hits: Iterable[Hit]) -> bool:
        """Add the hits of a lookup; returns whether any of them is new."""
        data = self.rare_data = self.rare_data or RareData()
        found = data.hits.get(kind)
        known = compact_set.size(found)
        for hit in hits:
            found = self._add_item("hits", found, hit)
        data.hits[kind] = found
        return compact_set.size(found) > known

    def hits_of_kind(self, kind: LookupKind) -> tuple[Hit, ...]:
        """The hits of one kind of lookup, in the order in which they were found."""
        if self.rare_data is None:  # the usual case
            return ()
        return tuple(compact_set.items(self.rare_data.hits.get(kind)))

    def add_pairs(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Add addresses with ports, to be looked up."""
        data = self.rare_data = self.rare_data or RareData()
        for pair in pairs:
            data.pairs = self._add_item("pairs", data.pairs, pair)

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """The addresses with ports to look up, in order."""
        return () if self.rare_data is None else tuple(compact_set.items(self.rare_data.pairs))

    def set_expiry(self, now: int) -> None:
        """Set `expires_at`; the current stage has been current since `now`."""
        self.expires_at = self.expiry_since(now)

    def expiry_since(self, now: int) -> int:
        """When the current stage expires if it has been current since `now`."""
        options = self.compiled.options
        timeout = self.compiled.rules[self.stage - 1].record.timeout
        after_timeout = self.starts[-1] + timeout + options.min_alarm_lifetime + 1
        return max(after_timeout, now + options.expiry_grace)

    def _max_asset_value(self) -> int:
        """The highest asset value of all addresses so far."""
        address_info = self.compiled.assets.address_info
        values = [address_info(address).value for address in self.addresses()]
        return max(*values, self.rare_data.asset_value) if self.rare_data else max(values)

    def addresses(self) -> tuple[str, ...]:
        """The source, then the destination addresses, in order; one may be in both."""
        return (*compact_set.items(self.src_ips), *compact_set.items(self.dst_ips))


def _add_id(ids: CompactSet[str], id_: str) -> CompactSet[str]:
    """Add the id of an event; one that another event had is made unique by a number."""
    if compact_set.contains(ids, id_):
        number = compact_set.size(ids) + 1
        while compact_set.contains(ids, f"{id_} ({number})"):
            number += 1
        id_ = f"{id_} ({number})"
    return compact_set.add(ids, id_)


def _custom_data(event: NormalizedEvent) -> Iterator[CustomData]:
    if event.custom_data1:
        yield CustomData(event.custom_label1, event.custom_data1)
    if event.custom_data2:
        yield CustomData(event.custom_label2, event.custom_data2)
    if event.custom_data3:
        yield CustomData(event.custom_label3, event.custom_data3)


def _pairs(event: NormalizedEvent) -> Iterator[tuple[str, int]]:
    for address, port in ((event.src_ip, event.src_port), (event.dst_ip, event.dst_port)):
        if port and address not in UNSPECIFIED_ADDRESSES:
            yield address, port
