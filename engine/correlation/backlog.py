"""One open backlog: the state machine of a directive that some event has opened.

It is told of events that match the rule it waits for; it never looks for them itself, never
reads a clock and writes nothing. What depends on the directive alone is in `CompiledDirective`.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from engine.alarm import UNSPECIFIED_ADDRESSES, BacklogKey, CustomData, Hit, LookupKind
from engine.asset import AddressInfo
from engine.correlation import compact_set
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import BoundValues, CompiledDirective
from engine.directives.rule import CompiledRule
from engine.event import NormalizedEvent

OUT_OF_ORDER_SECONDS = 5
"""An event this much older than the end of an earlier stage is out of order."""
_UNSPECIFIED = "0.0.0.0"

EventOutcome = Literal["taken", "finished", "repeated", "sticky_seen", "out_of_order"]
"""How a backlog consumed an event; `finished`: taken, and the stage is complete with it."""


class LookupData:
    """What is to be looked up of a backlog besides addresses, and what was found."""

    __slots__ = ("hits", "pairs")

    def __init__(self) -> None:
        self.pairs: CompactSet[tuple[str, int]] = None
        self.hits: CompactSet[tuple[LookupKind, Hit]] = None


class Backlog:
    """What has happened so far; times in seconds since the epoch.

    `order`: its age among the backlogs of the directive. `bound`: values of first events that
    rules refer to. `starts`: of the stages up to the current one; each ends when the next one
    starts. `ids`, `sticky`: event ids and sticky values of the current stage; `earlier_ids`: ids
    of each earlier stage, which only all_rules_always_active needs. `looked_up`: what
    only lookups need, if there are any.
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
        "looked_up",
        "opened_by",
        "order",
        "risk",
        "src_ips",
        "starts",
        "sticky",
        "title",
        "updated",
    )

    opened_by: str
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
        """Without what only an event, or a saved state, can tell: `open`, or state.restored."""
        self.compiled = compiled
        self.order = order
        self.created: int | None = None
        self.ids: CompactSet[str] = None
        self.earlier_ids: tuple[CompactSet[str], ...] = ()
        self.sticky: CompactSet[int | str] = None
        self.custom_data: CompactSet[CustomData] = None
        self.looked_up: LookupData | None = None

    def open(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int) -> None:
        """Take the opening event at stage 1, which it finishes.

        Spelled out, not by way of `offer`: nothing was there before, and this happens most often.
        """
        compiled = self.compiled
        directive, rule = compiled.directive, compiled.rules[0].record
        self.opened_by = event.event_id
        self.alarm_id = compiled.alarm_id(event.event_id)
        self.title = compiled.title(event, src, dst) if compiled.title_form else directive.name
        self.risk = directive.priority * rule.reliability * max(src.value, dst.value) // 25
        self.bound = compiled.first_values[0](event)
        self.starts = (event.time, event.time)
        self.updated = now
        self.src_ips = event.src_ip
        self.dst_ips = event.dst_ip
        if directive.always_active:
            self.earlier_ids = (event.event_id,)
        self._note_rest(event)

    @property
    def key(self) -> BacklogKey:
        """What tells it from all others that are open."""
        return self.compiled.directive.id, self.opened_by

    @property
    def stage(self) -> int:
        """The current stage: as many as have started, the one after the last when all are done."""
        return len(self.starts)

    @property
    def closed(self) -> bool:
        """Whether the last stage is finished."""
        return self.stage > len(self.compiled.rules)

    def offer(self, event: NormalizedEvent, now: int) -> EventOutcome:
        """Consume an event that matches the rule of the current stage."""
        starts = self.starts
        rule = self.compiled.rules[len(starts) - 1]
        if rule.sticky_value is not None and compact_set.contains(
            self.sticky, rule.sticky_value(event)
        ):
            return "sticky_seen"
        latest_end = starts[1] if len(starts) == 2 else max(starts[1:])
        if event.time + OUT_OF_ORDER_SECONDS <= latest_end:
            return "out_of_order"
        if compact_set.contains(self.ids, event.event_id):
            return "repeated"
        return self._take(rule, event, now)

    def revisit(self, stage: int, event: NormalizedEvent, now: int) -> EventOutcome:
        """Consume an event that matches the rule of an earlier stage (all_rules_always_active)."""
        ids = list(self.earlier_ids)
        if compact_set.contains(ids[stage - 1], event.event_id):
            return "repeated"
        ids[stage - 1] = compact_set.add(ids[stage - 1], event.event_id)
        self.earlier_ids = tuple(ids)
        self._note(event, now)
        return "taken"

    def _take(self, rule: CompiledRule, event: NormalizedEvent, now: int) -> EventOutcome:
        if self.ids is None:
            self.bound += self.compiled.first_values[rule.record.stage - 1](event)
        self.ids = compact_set.add(self.ids, event.event_id)
        if rule.sticky_value is not None:
            self.sticky = compact_set.add(self.sticky, rule.sticky_value(event))
        self._note(event, now)
        if compact_set.size(self.ids) < rule.record.occurrence:
            return "taken"
        self._finish_stage(rule, event.time)
        return "finished"

    def _note(self, event: NormalizedEvent, now: int) -> None:
        """What every event taken leaves behind, at whatever stage."""
        if event.src_ip != self.src_ips:
            self.src_ips = _with_address(self.src_ips, event.src_ip)
        if event.dst_ip != self.dst_ips:
            self.dst_ips = _with_address(self.dst_ips, event.dst_ip)
        self._note_rest(event)
        if now > self.updated:  # noqa: PLR1730 - half the time of max()
            self.updated = now

    def _note_rest(self, event: NormalizedEvent) -> None:
        if event.custom_data1 or event.custom_data2 or event.custom_data3:
            for custom in _custom_data(event):
                self.custom_data = compact_set.add(self.custom_data, custom)
        if self.compiled.options.lookups:
            self.note_pairs(_pairs(event))

    def _finish_stage(self, rule: CompiledRule, time: int) -> None:
        """End the current stage at this event time, and begin the next one."""
        directive = self.compiled.directive
        self.risk = directive.priority * rule.record.reliability * self._value() // 25
        if directive.always_active:
            self.earlier_ids += (self.ids,)
        self.ids = self.sticky = None
        self.starts += (time,)

    def enrich(self, kind: LookupKind, hits: Iterable[Hit]) -> bool:
        """Take up what a lookup found; whether any of it is new."""
        looked_up = self.looked_up = self.looked_up or LookupData()
        known = compact_set.size(looked_up.hits)
        for hit in hits:
            looked_up.hits = compact_set.add(looked_up.hits, (kind, hit))
        return compact_set.size(looked_up.hits) > known

    def hits_of(self, kind: LookupKind) -> tuple[Hit, ...]:
        """What lookups of a kind have found, in order."""
        if self.looked_up is None or self.looked_up.hits is None:  # as mostly
            return ()
        return tuple(hit for of, hit in compact_set.items(self.looked_up.hits) if of == kind)

    def note_pairs(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Note addresses with their ports, which are to be looked up."""
        looked_up = self.looked_up = self.looked_up or LookupData()
        for pair in pairs:
            looked_up.pairs = compact_set.add(looked_up.pairs, pair)

    @property
    def pairs(self) -> tuple[tuple[str, int], ...]:
        """Addresses with their ports, in order."""
        return () if self.looked_up is None else tuple(compact_set.items(self.looked_up.pairs))

    def set_expiry(self, now: int) -> None:
        """Work out the first second at which the stage that became current `now` is expired."""
        options = self.compiled.options
        timeout = self.compiled.rules[self.stage - 1].record.timeout
        outlived = self.starts[-1] + timeout + options.min_alarm_lifetime + 1
        self.expires_at = max(outlived, now + options.expiry_grace)

    def _value(self) -> int:
        """The highest asset value over all addresses so far."""
        facts = self.compiled.assets.facts
        return max([facts(address).value for address in self.addresses()])

    def addresses(self) -> tuple[str, ...]:
        """The src addresses, then the dst addresses, as they came; one may be on both sides."""
        return (*compact_set.items(self.src_ips), *compact_set.items(self.dst_ips))


def _with_address(addresses: CompactSet[str], address: str) -> CompactSet[str]:
    """One side's addresses with one more; 0.0.0.0 stays only while it is alone."""
    if address == _UNSPECIFIED and addresses is not None:
        return addresses
    if addresses == _UNSPECIFIED:
        return address
    return compact_set.add(addresses, address)


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
