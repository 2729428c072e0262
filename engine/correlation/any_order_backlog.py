"""A backlog whose stages after the first one are open at once, and finish in any order."""

from engine.asset import AddressInfo
from engine.correlation import compact_set
from engine.correlation.absence_backlog import AbsenceBacklog, refusal
from engine.correlation.backlog import Backlog, EventOutcome
from engine.correlation.compact_set import CompactSet
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.kept_items import add_id
from engine.directives.rule import CompiledRule
from engine.event import NormalizedEvent


class AnyOrderBacklog(AbsenceBacklog):
    """As Backlog, with several open stages, all of which began with the opening event.

    `starts`: the time of the opening event, twice, and the end of each other stage that is
    finished, so that there is one more than finished stages. `finished_stages`: their numbers, in
    the order in which they were finished. `open_ids`, `open_sticky`: event ids and sticky values of
    each open stage, lowest first; they take the place of `ids` and `sticky`.
    """

    __slots__ = ("finished_stages", "open_ids", "open_sticky")

    finished_stages: tuple[int, ...]
    open_ids: dict[int, CompactSet[str]]
    open_sticky: dict[int, CompactSet[int | str]]

    def open(self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, now: int) -> None:
        """As Backlog does."""
        super().open(event, src, dst, now)
        self.begin_stages((1,))

    def begin_stages(self, finished: tuple[int, ...]) -> None:
        """Set which stages are finished, and let the others begin."""
        self.finished_stages = finished
        others = [n for n in range(1, len(self.compiled.rules) + 1) if n not in finished]
        self.open_ids = dict.fromkeys(others)
        self.open_sticky = dict.fromkeys(others)

    @property
    def stage(self) -> int:
        """The lowest open stage; one more than the last stage when all are finished."""
        return next(iter(self.open_ids), len(self.compiled.rules) + 1)

    @property
    def open_stages(self) -> tuple[int, ...]:
        """The stages that are not finished, lowest first."""
        return tuple(self.open_ids)

    @property
    def expiring_stage(self) -> int:
        """The open stage whose timeout passes first; before an absent one, if both do."""
        rules = self.compiled.rules

        def order(stage: int) -> tuple[int, bool, int]:
            record = rules[stage - 1].record
            return record.timeout, record.absent, stage

        return min(self.open_ids, key=order)

    def ids_of(self, stage: int) -> CompactSet[str]:
        """The ids of the events taken at an open stage."""
        return self.open_ids.get(stage)

    def sticky_of(self, stage: int) -> CompactSet[int | str]:
        """The sticky values of an open stage."""
        return self.open_sticky.get(stage)

    def start_of(self, stage: int) -> int:  # noqa: ARG002 - all began at once
        """When an open stage began."""
        return self.starts[0]

    @property
    def latest_end(self) -> int:
        """The end of stage 1, by which events are out of order."""
        return self.starts[1]

    def consume(self, stage: int, event: NormalizedEvent, now: int) -> EventOutcome:
        """Consume an event that matches the rule of an open stage."""
        refused = refusal(self, stage, event)
        if refused is not None:
            return refused
        rule = self.compiled.rules[stage - 1]
        ids = self.open_ids[stage] = add_id(self.open_ids[stage], event.event_id)
        if rule.sticky_values is not None:
            sticky = self.open_sticky[stage]
            self.open_sticky[stage] = compact_set.add_all(sticky, rule.sticky_values(event))
        self._record_event(event, now)
        if compact_set.size(ids) < rule.record.occurrence:
            return "taken"
        return self._complete_stage(rule, event.time)

    def _finish_stage(self, rule: CompiledRule, time: int) -> EventOutcome:
        """Finish an open stage at this time; the number of finished ones decides the risk."""
        del self.open_ids[rule.record.stage], self.open_sticky[rule.record.stage]
        self.finished_stages += (rule.record.stage,)
        self.starts += (time,)
        self._set_risk(self.compiled.rules[len(self.finished_stages) - 1])
        return "finished"

    def expiry_since(self, now: int) -> int:
        """When the first timeout passes, if the last stage was finished at `now`."""
        options = self.compiled.options
        timeout = self.compiled.rules[self.expiring_stage - 1].record.timeout
        after_timeout = self.starts[0] + timeout + options.min_alarm_lifetime + 1
        return max(after_timeout, now + options.expiry_grace)


def backlog_type(compiled: CompiledDirective) -> type[Backlog]:
    """The type of the backlogs of a directive."""
    if compiled.directive.any_order:
        return AnyOrderBacklog
    absent = any(rule.record.absent for rule in compiled.rules)
    return AbsenceBacklog if absent else Backlog
