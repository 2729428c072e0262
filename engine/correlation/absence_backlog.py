"""A backlog of a directive with absent stages: those that events avert, and their timeout finishes.

Directives without any have plain backlogs, which do not pay for it.
"""

from engine.correlation import compact_set
from engine.correlation.backlog import Backlog, EventOutcome, Refused
from engine.directives.rule import CompiledRule
from engine.event import NormalizedEvent


class AbsenceBacklog(Backlog):
    """As Backlog; absent stages are finished by the passing of time."""

    __slots__ = ()

    def consume(self, stage: int, event: NormalizedEvent, now: int) -> EventOutcome:
        """As Backlog does; what comes after the timeout of an absent stage is too late for it."""
        return refusal(self, stage, event) or super().consume(stage, event, now)

    def _complete_stage(self, rule: CompiledRule, time: int) -> EventOutcome:
        return "averted" if rule.record.absent else self._finish_stage(rule, time)

    def _finish_stage(self, rule: CompiledRule, time: int) -> EventOutcome:
        return super()._complete_stage(rule, time)

    def pass_timeout(self) -> bool:
        """Finish the stage whose timeout has passed, if it is absent; returns whether it is.

        The alarm does not say when that was noticed: after a death it may be noticed again, later,
        and must say the same.
        """
        stage = self.expiring_stage
        rule = self.compiled.rules[stage - 1]
        if not rule.record.absent:
            return False
        end = self.start_of(stage) + rule.record.timeout
        self.updated = max(self.updated, end)
        self._finish_stage(rule, end)
        return True


def refusal(backlog: Backlog, stage: int, event: NormalizedEvent) -> Refused | None:
    """Why a backlog consumes an event that matches this open stage, and does not take it.

    None if it takes it. Plain backlogs decide the same by themselves, which is faster.
    """
    rule = backlog.compiled.rules[stage - 1]
    if rule.sticky_values is not None and compact_set.contains_any(
        backlog.sticky_of(stage), rule.sticky_values(event)
    ):
        return "sticky_seen"
    if event.time + backlog.compiled.options.out_of_order_tolerance <= backlog.latest_end:
        return "out_of_order"
    if rule.record.absent and event.time > backlog.start_of(stage) + rule.record.timeout:
        return "too_late"
    return None
