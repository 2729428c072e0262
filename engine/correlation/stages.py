"""Where the open backlogs of a directive wait: at which stage, and for which bound values.

A backlog that was restored may have other rules than its directive has now: it waits at stages
of its own, a *variant*, which lasts as long as any backlog waits there. An event is offered to
all of them alike. The index knows only the directive's own rules, though: an event that none of
them is for, by its plugin or taxonomy, does not get here, whatever a variant would make of it.
"""

from collections.abc import Hashable, Sequence

from engine.alarm import RuleRecord
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSetMap
from engine.correlation.compiled_directive import CompiledDirective, stage_keys, with_other_rules
from engine.correlation.snapshot import UnusableBacklogError, describe_invalid_rules
from engine.directives.rule import CompiledRule
from engine.directives.rule_schema import check_rules

MAX_VARIANTS = 1000
"""An event costs some time for each of them."""
Rules = tuple[RuleRecord, ...]


class Stage:
    """One stage: its rule, and the backlogs that wait for an event that matches it."""

    __slots__ = ("key_of_bound", "key_of_event", "number", "rule", "waiting")

    def __init__(self, rule: CompiledRule, compiled: CompiledDirective) -> None:
        self.rule = rule
        self.number = rule.record.stage
        self.key_of_event, self.key_of_bound = stage_keys(rule, compiled.slots)
        self.waiting: CompactSetMap[Hashable, Backlog] = CompactSetMap()

    def add(self, backlog: Backlog) -> None:
        """File a backlog; a key equal to all its bound values is kept as that same tuple."""
        key = self.key_of_bound(backlog.bound)
        self.waiting.add(backlog.bound if key == backlog.bound else key, backlog)

    def remove(self, backlog: Backlog) -> None:
        """Take a backlog out."""
        self.waiting.remove(self.key_of_bound(backlog.bound), backlog)


class _Variant:
    """Other rules, compiled, and their stages."""

    __slots__ = ("compiled", "stages")

    def __init__(self, compiled: CompiledDirective) -> None:
        self.compiled = compiled
        self.stages = _stages(compiled)


class Stages:
    """All stages of a directive."""

    __slots__ = ("_compiled", "_own", "_variants", "opening", "searched")

    def __init__(self, compiled: CompiledDirective) -> None:
        self._compiled = compiled
        self._own = _stages(compiled)
        self._variants: dict[Rules, _Variant] = {}
        self.opening = self._own[0].rule
        """What the event that opens a backlog has to match: always the directive's own."""
        self.searched: Sequence[Stage] = self._own
        """Those that events are offered to, the directive's own first."""

    def compiled_for(self, rules: Rules) -> CompiledDirective:
        """What backlogs with these rules share; none are the directive's own. Unfit if invalid."""
        if not rules or rules == self._compiled.directive.rules:
            return self._compiled
        if rules in self._variants:
            return self._variants[rules].compiled
        if len(self._variants) >= MAX_VARIANTS:
            raise UnusableBacklogError(
                "its rules are not those of the directive, as with too many others"
            )
        records, findings = check_rules(rules)
        if findings:
            raise UnusableBacklogError(describe_invalid_rules(findings[0]))
        return with_other_rules(self._compiled, records)

    def file(self, backlog: Backlog) -> None:
        """Put a backlog where events will find it."""
        if backlog.compiled.variant:
            self._keep(backlog.compiled)
        for stage in self._places(backlog, backlog.stage):
            stage.add(backlog)

    def advance(self, backlog: Backlog, finished: int) -> None:
        """Move a backlog from the stage that it has finished to the next one."""
        compiled = backlog.compiled
        stages = self._of(compiled) if compiled.variant else self._own
        if not compiled.directive.always_active:
            stages[finished - 1].remove(backlog)
        stages[finished].add(backlog)

    def unfile(self, backlog: Backlog, stage: int) -> None:
        """Take out a closed backlog that was last at this stage."""
        for place in self._places(backlog, stage):
            place.remove(backlog)
        if backlog.compiled.variant:
            self._drop_unused(backlog.compiled.directive.rules)

    def _of(self, compiled: CompiledDirective) -> tuple[Stage, ...]:
        return self._variants[compiled.directive.rules].stages

    def _places(self, backlog: Backlog, current: int) -> tuple[Stage, ...]:
        """Where a backlog at this stage waits: with always_active at the earlier ones too."""
        compiled = backlog.compiled
        stages = self._of(compiled) if compiled.variant else self._own
        if compiled.directive.always_active:
            return stages[:current]
        return (stages[current - 1],)

    def _keep(self, compiled: CompiledDirective) -> None:
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
