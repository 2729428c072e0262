"""The open backlogs of a directive by stage and by the values that their references are bound to.

A restored backlog may have other rules than its directive has now. It waits at the stages of a
*rule variant*, which exists as long as any backlog waits there; events are matched against all
variants. The routing index knows only the directive's own rules: an event whose plugin or taxonomy
none of them names does not arrive here, even if a rule of a variant would match it.
"""

from collections.abc import Hashable, Sequence
from itertools import chain, islice

from engine.alarm import RuleRecord
from engine.asset import AddressInfo
from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet, CompactSetMap
from engine.correlation.compiled_directive import (
    CompiledDirective,
    make_stage_keys,
    with_other_rules,
)
from engine.correlation.snapshot import UnusableBacklogError, describe_invalid_rules
from engine.directives.rule import CompiledRule
from engine.directives.rule_schema import check_rules
from engine.event import NormalizedEvent

MAX_VARIANTS = 1000
"""Largest number of rule variants of a directive: every event is matched against each."""
Rules = tuple[RuleRecord, ...]
Consumer = tuple[Backlog, int]
"""A backlog that will consume an event, and the stage at which it will."""


class Stage:
    """A stage: its rule, and the backlogs that wait for a matching event."""

    __slots__ = ("bound_key", "event_key", "number", "rule", "waiting")

    def __init__(self, rule: CompiledRule, compiled: CompiledDirective) -> None:
        self.rule = rule
        self.number = rule.record.stage
        self.event_key, self.bound_key = make_stage_keys(rule, compiled.slots)
        self.waiting: CompactSetMap[Hashable, Backlog] = CompactSetMap()

    def add(self, backlog: Backlog) -> None:
        """Add a backlog; a key equal to its bound values is the same tuple, to save memory."""
        key = self.bound_key(backlog.bound)
        self.waiting.add(backlog.bound if key == backlog.bound else key, backlog)

    def remove(self, backlog: Backlog) -> None:
        """Remove a backlog."""
        self.waiting.remove(self.bound_key(backlog.bound), backlog)


class _Variant:
    """Compiled rules other than the directive's own, and their stages."""

    __slots__ = ("compiled", "stages")

    def __init__(self, compiled: CompiledDirective) -> None:
        self.compiled = compiled
        self.stages = _stages(compiled)


class Stages:
    """All stages of a directive, those of rule variants included."""

    __slots__ = ("_compiled", "_own", "_variants", "opening", "searched")

    def __init__(self, compiled: CompiledDirective) -> None:
        self._compiled = compiled
        self._own = _stages(compiled)
        self._variants: dict[Rules, _Variant] = {}
        self.opening = self._own[0].rule
        """The rule that an opening event must match: always the directive's own."""
        self.searched: Sequence[Stage] = self._own
        """The stages that events are matched against, the directive's own first."""

    def compile_rules(self, rules: Rules) -> CompiledDirective:
        """The compiled directive with these rules; () stands for its own.

        UnusableBacklogError if they are invalid, or there are MAX_VARIANTS already.
        """
        if not rules or rules == self._compiled.directive.rules:
            return self._compiled
        if rules in self._variants:
            return self._variants[rules].compiled
        if len(self._variants) >= MAX_VARIANTS:
            raise UnusableBacklogError(
                "its rules are not those of the directive, and open backlogs have "
                f"{MAX_VARIANTS} other sets of rules already"
            )
        records, findings = check_rules(rules)
        if findings:
            raise UnusableBacklogError(describe_invalid_rules(findings[0]))
        return with_other_rules(self._compiled, records)

    def add(self, backlog: Backlog) -> None:
        """Add a backlog to the stages at which it waits."""
        if backlog.compiled.variant:
            self._add_variant(backlog.compiled)
        for stage in self._waiting_stages(backlog, backlog.stage):
            stage.add(backlog)

    def advance(self, backlog: Backlog, finished: int) -> None:
        """Move a backlog from the finished stage to the next one."""
        compiled = backlog.compiled
        stages = self._variant_stages(compiled) if compiled.variant else self._own
        if not compiled.directive.always_active:
            stages[finished - 1].remove(backlog)
        stages[finished].add(backlog)

    def remove(self, backlog: Backlog, stage: int) -> None:
        """Remove a closed backlog, which was at this stage."""
        for waiting_stage in self._waiting_stages(backlog, stage):
            waiting_stage.remove(backlog)
        if backlog.compiled.variant:
            self._drop_unused(backlog.compiled.directive.rules)

    def find_consumers(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo
    ) -> list[Consumer]:
        """The backlogs that will consume the event, oldest first, with their stages."""
        found: list[Consumer] = []
        for stage in self.searched:
            waiting = stage.waiting.get(stage.event_key(event)) if stage.waiting else None
            if waiting and stage.rule.matches(event, src, dst):
                if isinstance(waiting, dict):
                    found += [(backlog, stage.number) for backlog in waiting]
                else:  # the usual case
                    found.append((waiting, stage.number))
        if len(found) > 1:
            found = _one_stage_each(found) if self._compiled.directive.always_active else found
            found.sort(key=lambda consumer: consumer[0].order)
        return found

    def find_some_consumers(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, most: int
    ) -> list[Consumer]:
        """As find_consumers, but at most so many, however many there are: for explanations."""
        matching: dict[Stage, CompactSet[Backlog]] = {}
        for stage in self.searched:
            waiting = stage.waiting.get(stage.event_key(event)) if stage.waiting else None
            if waiting and stage.rule.matches(event, src, dst):
                matching[stage] = waiting
        backlogs = chain.from_iterable(map(compact_set.items, matching.values()))
        some = dict.fromkeys(islice(backlogs, most))
        found = [(backlog, self._consuming_stage(backlog, matching)) for backlog in some]
        return sorted(found, key=lambda consumer: consumer[0].order)

    def _consuming_stage(self, backlog: Backlog, matching: dict[Stage, CompactSet[Backlog]]) -> int:
        """The stage of a backlog that consumes the event that these stages match."""
        numbers = [
            stage.number
            for stage in self._waiting_stages(backlog, backlog.stage)
            if compact_set.contains(matching.get(stage), backlog)
        ]
        return backlog.stage if backlog.stage in numbers else numbers[0]

    def _variant_stages(self, compiled: CompiledDirective) -> tuple[Stage, ...]:
        return self._variants[compiled.directive.rules].stages

    def _waiting_stages(self, backlog: Backlog, current: int) -> tuple[Stage, ...]:
        """The stages at which a backlog waits: with all rules active, the earlier ones too."""
        compiled = backlog.compiled
        stages = self._variant_stages(compiled) if compiled.variant else self._own
        if compiled.directive.always_active:
            return stages[:current]
        return (stages[current - 1],)

    def _add_variant(self, compiled: CompiledDirective) -> None:
        if compiled.directive.rules not in self._variants:
            variant = self._variants[compiled.directive.rules] = _Variant(compiled)
            self.searched = [*self.searched, *variant.stages]

    def _drop_unused(self, rules: Rules) -> None:
        if not any(stage.waiting for stage in self._variants[rules].stages):
            del self._variants[rules]
            others = [stage for variant in self._variants.values() for stage in variant.stages]
            self.searched = [*self._own, *others] if others else self._own


def _stages(compiled: CompiledDirective) -> tuple[Stage, ...]:
    return tuple(Stage(rule, compiled) for rule in compiled.rules)


def _one_stage_each(consumers: list[Consumer]) -> list[Consumer]:
    """Each backlog once: at its current stage, else at the earliest matching one."""
    chosen: dict[Backlog, int] = {}
    for backlog, stage in consumers:
        if backlog not in chosen or stage == backlog.stage:
            chosen[backlog] = stage
    return list(chosen.items())
