"""One open backlog: the state machine of a directive that an event has opened.

It consumes events that match the rule of a stage; finding them is the work of
directive_backlogs.py. Everything that all backlogs of a directive share is in `CompiledDirective`.
"""

from typing import Literal

from engine.alarm import BacklogKey, alarm_id
from engine.asset import AddressInfo
from engine.correlation import compact_set
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import BoundValues, CompiledDirective
from engine.correlation.kept_items import KeptItems, add_id
from engine.directives.rule import CompiledRule
from engine.event import NormalizedEvent

Refused = Literal["sticky_seen", "out_of_order", "too_late"]
"""Why a backlog consumed an event that matches a stage, and did not take it."""
EventOutcome = Refused | Literal["taken", "finished", "averted", "revisited"]
"""How a backlog consumed an event. It was taken, except if it was refused.

`finished`: it completed the stage; `averted`: it was the last one that an absent stage excludes;
`revisited`: it was taken at an earlier stage.
"""


class Backlog(KeptItems):
    """The state of one backlog; times in seconds since the epoch.

    `opened_by`: the identity of the opening event as a text that no other open backlog of the
    directive has: the alarm id, if possible; `opening_id`: the id of that event. `order`: age among
    the backlogs of the directive, lower is older. `bound`: values of first events that rules refer
    to. `starts`: start times of the stages up to the current one; a stage ends when the next one
    starts. `ids`, `sticky`: event ids and sticky values of the current stage, an id for each event
    taken. `earlier_ids`: event ids of each earlier stage, only for all_rules_always_active.
    `published`: number of finished stages in the last line of its alarm, 0 if there is none.
    `shares_alarm`: another backlog of the same opening event has written, or may write, the alarm.
    """

    __slots__ = (
        "alarm_id",
        "bound",
        "created",
        "earlier_ids",
        "expires_at",
        "ids",
        "opened_by",
        "opening_id",
        "order",
        "published",
        "risk",
        "shares_alarm",
        "starts",
        "sticky",
        "title",
    )

    opened_by: str
    opening_id: str
    alarm_id: str
    title: str
    risk: int
    bound: BoundValues
    starts: tuple[int, ...]
    expires_at: int

    def __init__(self, compiled: CompiledDirective, order: int) -> None:
        """Make an empty backlog, to be filled by `open` or by `snapshot.restore_backlog`."""
        self.compiled = compiled
        self.order = order
        self.created: int | None = None
        self.published = 0
        self.ids: CompactSet[str] = None
        self.earlier_ids: tuple[CompactSet[str], ...] = ()
        self.sticky: CompactSet[int | str] = None
        self.custom_data = None
        self.rare_data = None
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
    def open_stages(self) -> tuple[int, ...]:
        """The stages that are not finished and have begun, lowest first; none if all are."""
        return () if self.closed else (len(self.starts),)

    @property
    def expiring_stage(self) -> int:
        """The open stage whose timeout is the next to pass."""
        return len(self.starts)

    @property
    def closed(self) -> bool:
        """Whether the last stage is finished."""
        return len(self.starts) > len(self.compiled.rules)

    def ids_of(self, stage: int) -> CompactSet[str]:  # noqa: ARG002 - there is one
        """The ids of the events taken at an open stage."""
        return self.ids

    def sticky_of(self, stage: int) -> CompactSet[int | str]:  # noqa: ARG002 - there is one
        """The sticky values of an open stage."""
        return self.sticky

    def start_of(self, stage: int) -> int:  # noqa: ARG002 - there is one
        """When an open stage began."""
        return self.starts[-1]

    @property
    def latest_end(self) -> int:
        """The latest end of a stage, by which events are out of order."""
        return max(self.starts[1:])

    def consume(self, stage: int, event: NormalizedEvent, now: int) -> EventOutcome:
        """Consume an event that matches the rule of a stage at which the backlog waits."""
        starts = self.starts
        if stage < len(starts):
            self._take_at_earlier_stage(stage, event, now)
            return "revisited"
        compiled = self.compiled
        rule = compiled.rules[stage - 1]
        sticky = () if rule.sticky_values is None else rule.sticky_values(event)
        if sticky and compact_set.contains_any(self.sticky, sticky):
            return "sticky_seen"
        latest_end = starts[1] if len(starts) == 2 else max(starts[1:])
        if event.time + compiled.options.out_of_order_tolerance <= latest_end:
            return "out_of_order"
        ids = self.ids
        if isinstance(ids, dict) and event.event_id not in ids:  # as add_id, but faster
            ids[event.event_id] = None
            number = len(ids)
        else:
            if ids is None:
                self.bound += compiled.first_event_values[stage - 1](event)
            self.ids = add_id(ids, event.event_id)
            number = compact_set.size(self.ids)
        for value in sticky:
            self.sticky = compact_set.add(self.sticky, value)
        self._record_event(event, now)
        if number < rule.record.occurrence:
            return "taken"
        return self._complete_stage(rule, event.time)

    def _take_at_earlier_stage(self, stage: int, event: NormalizedEvent, now: int) -> None:
        """Take an event that matches the rule of an earlier stage, if all rules are active."""
        ids = self.earlier_ids[stage - 1]
        added = add_id(ids, event.event_id)
        if added is not ids:
            self.earlier_ids = (*self.earlier_ids[: stage - 1], added, *self.earlier_ids[stage:])
        self._record_event(event, now)

    def _complete_stage(self, rule: CompiledRule, time: int) -> EventOutcome:
        """Finish the current stage at this event time, and start the next one."""
        self._set_risk(rule)
        if self.compiled.directive.always_active:
            self.earlier_ids += (self.ids,)
        self.ids = self.sticky = None
        self.starts += (time,)
        return "finished"

    def _set_risk(self, rule: CompiledRule) -> None:
        """Set the risk by the reliability of a rule, and the addresses so far."""
        priority, reliability = self.compiled.directive.priority, rule.record.reliability
        self.risk = priority * reliability * self._max_asset_value() // 25

    def follow_clock_back(self, now: int, latest: int) -> bool:
        """Let stages that began later than `latest` begin at `now`; returns whether any did."""
        ahead = max(self.starts) > latest
        if ahead:
            self.starts = tuple(now if start > latest else start for start in self.starts)
        return ahead

    def set_expiry(self, now: int) -> None:
        """Set `expires_at`; the current stage has been current since `now`."""
        self.expires_at = self.expiry_since(now)

    def expiry_since(self, now: int) -> int:
        """When the current stage expires if it has been current since `now`."""
        options = self.compiled.options
        timeout = self.compiled.rules[self.stage - 1].record.timeout
        after_timeout = self.starts[-1] + timeout + options.min_alarm_lifetime + 1
        return max(after_timeout, now + options.expiry_grace)

    def pass_timeout(self) -> bool:
        """Finish the stage whose timeout has passed, if it is absent; returns whether it is."""
        return False
