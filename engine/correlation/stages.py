"""The open backlogs of a directive by stage and by the values that their references are bound to.

A backlog may have been opened under a *former definition* of its directive: under other rules, or
another name or priority than it has now. It waits at the stages of that definition, which exist as
long as any backlog waits there; events are matched against those of all definitions.
"""

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain, islice

from engine.asset import AddressInfo, NetworkAssets
from engine.correlation import compact_set
from engine.correlation.backlog import Backlog
from engine.correlation.compact_set import CompactSet, CompactSetMap
from engine.correlation.compiled_directive import (
    CompiledDirective,
    make_negated_predicate,
    make_stage_keys,
)
from engine.correlation.former_definitions import FormerDefinitions
from engine.correlation.restoration import describe_invalid_definition
from engine.correlation.snapshot import UnusableBacklogError
from engine.directives.directive import Directive, check_directive
from engine.directives.rule import CompiledRule
from engine.event import NormalizedEvent
from engine.options import Options

MAX_FORMER = 1000
"""Largest number of former definitions of a directive with restored backlogs.

Every event is matched against each. Those of reloads are as many as there are open backlogs at
most.
"""
Consumer = tuple[Backlog, int]
"""A backlog that will consume an event, and the stage at which it will."""


class Stage:
    """A stage: whether events match its rule, and the backlogs that wait for one that does."""

    __slots__ = ("bound_key", "event_key", "matches", "negated", "number", "waiting")

    def __init__(self, rule: CompiledRule, compiled: CompiledDirective) -> None:
        self.matches = rule.matches_bound
        self.number = rule.record.stage
        self.event_key, self.bound_key = make_stage_keys(rule, compiled.slots)
        self.negated = make_negated_predicate(rule, compiled.slots)
        """Whether an event meets the negated references, which the keys do not have."""
        self.waiting: CompactSetMap[Hashable, Backlog] = CompactSetMap()

    def add(self, backlog: Backlog) -> None:
        """Add a backlog; a key equal to its bound values is the same tuple, to save memory."""
        key = self.bound_key(backlog.bound)
        self.waiting.add(backlog.bound if key == backlog.bound else key, backlog)

    def remove(self, backlog: Backlog) -> None:
        """Remove a backlog."""
        self.waiting.remove(self.bound_key(backlog.bound), backlog)

    def without_refusing(
        self, event: NormalizedEvent, waiting: CompactSet[Backlog]
    ) -> dict[Backlog, None]:
        """These backlogs, without those whose negated references the event does not meet."""
        met, backlogs = self.negated, compact_set.items(waiting)
        return dict.fromkeys(one for one in backlogs if met is None or met(event, one.bound))


class Stages:
    """All stages of a directive, those of former definitions included."""

    __slots__ = (
        "_any_always_active",
        "_by_definition",
        "_compiled",
        "_former",
        "_stages",
        "opening",
        "searched",
    )

    opening: CompiledRule
    """The rule that an opening event must match."""
    searched: Sequence[Stage]
    """The stages that events are matched against, those of the present definition first."""

    def __init__(self, compiled: CompiledDirective, former: FormerDefinitions) -> None:
        """`former`: the former definitions of all directives."""
        self._former = former
        self._stages: dict[CompiledDirective, tuple[Stage, ...]] = {}
        """Those of the present definition, and of each former one."""
        self._by_definition: dict[Directive, CompiledDirective] = {}
        """The former ones."""
        self._use(compiled)

    def _use(self, compiled: CompiledDirective) -> None:
        """Make this the present definition."""
        self._compiled = compiled
        if compiled not in self._stages:
            self._stages[compiled] = _stages(compiled)
        self.opening = compiled.rules[0]
        self._note_searched()

    def _note_searched(self) -> None:
        """Note what events are matched against, after the definitions have changed."""
        own = self._stages[self._compiled]
        others = chain.from_iterable(map(self._stages.__getitem__, self._by_definition.values()))
        self.searched = (*own, *others)
        self._any_always_active = any(compiled.directive.always_active for compiled in self._stages)

    def find_definition(self, definition: Directive) -> CompiledDirective:
        """The compiled form of a definition that a restored backlog is under.

        UnusableBacklogError if it is invalid, or there are MAX_FORMER others already.
        """
        if (known := self._known_definition(definition)) is not None:
            return known
        if len(self._by_definition) >= MAX_FORMER:
            raise UnusableBacklogError(
                "it is under another definition than the directive has, and other open backlogs "
                f"are under {MAX_FORMER} more already"
            )
        checked, findings = check_directive(definition)
        if checked is None:
            raise UnusableBacklogError(describe_invalid_definition(findings[0]))
        return self._known_definition(checked) or self._compile(checked, former=True)

    def _known_definition(self, definition: Directive) -> CompiledDirective | None:
        own = self._compiled
        return own if definition == own.directive else self._by_definition.get(definition)

    def _compile(self, definition: Directive, *, former: bool = False) -> CompiledDirective:
        own = self._compiled
        return CompiledDirective(definition, own.assets, own.options, own.capped, former=former)

    def change_definition(self, definition: Directive) -> CompiledDirective:
        """Let this be the present definition; open backlogs stay under theirs."""
        before = self._compiled
        if _is_any_waiting(self._stages[before]):
            self._add_former(before)
        else:
            del self._stages[before]
        compiled = self._by_definition.pop(definition, None)
        if compiled is None:
            compiled = self._compile(definition)
        else:  # the directive was changed back
            compiled.former = False
            self._former.remove(compiled)
        self._use(compiled)
        return compiled

    def change_surroundings(self, assets: NetworkAssets, options: Options) -> None:
        """Use other assets and options, for all definitions."""
        for compiled in self._stages:
            compiled.assets = assets
            compiled.options = options

    def clear(self) -> None:
        """Note that the directive is not there any more, nor any backlogs."""
        for compiled in self._by_definition.values():
            self._former.remove(compiled)

    def add(self, backlog: Backlog) -> None:
        """Add a backlog to the stages at which it waits."""
        if backlog.compiled not in self._stages:
            self._stages[backlog.compiled] = _stages(backlog.compiled)
            self._add_former(backlog.compiled)
            self._note_searched()
        for stage in self._waiting_stages(backlog, backlog.stage):
            stage.add(backlog)

    def advance(self, backlog: Backlog, finished: int) -> None:
        """Move a backlog from the finished stage to the next one."""
        compiled = backlog.compiled
        stages = self._stages[compiled]
        if not compiled.directive.always_active:
            stages[finished - 1].remove(backlog)
        stages[finished].add(backlog)

    def remove(self, backlog: Backlog, stage: int) -> None:
        """Remove a closed backlog, which was at this stage."""
        for waiting_stage in self._waiting_stages(backlog, stage):
            waiting_stage.remove(backlog)
        if backlog.compiled.former:
            self._drop_unused(backlog.compiled)

    def find_consumers(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo
    ) -> list[Consumer]:
        """The backlogs that will consume the event, oldest first, with their stages."""
        found: list[Consumer] = []
        for stage in self.searched:
            waiting = stage.waiting.get(stage.event_key(event)) if stage.waiting else None
            if waiting and stage.matches(event, src, dst):
                if stage.negated is not None:
                    waiting = stage.without_refusing(event, waiting)
                if isinstance(waiting, dict):
                    found += [(backlog, stage.number) for backlog in waiting]
                else:  # the usual case
                    found.append((waiting, stage.number))
        if len(found) > 1:
            found = _one_stage_each(found) if self._any_always_active else found
            found.sort(key=lambda consumer: consumer[0].order)
        return found

    def find_some_consumers(
        self, event: NormalizedEvent, src: AddressInfo, dst: AddressInfo, most: int
    ) -> list[Consumer]:
        """As find_consumers, but at most so many, however many there are: for explanations."""
        matching: dict[Stage, CompactSet[Backlog]] = {}
        for stage in self.searched:
            waiting = stage.waiting.get(stage.event_key(event)) if stage.waiting else None
            if waiting and stage.matches(event, src, dst):
                if stage.negated is not None:
                    waiting = stage.without_refusing(event, waiting)
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

    def _waiting_stages(self, backlog: Backlog, current: int) -> tuple[Stage, ...]:
        """The stages at which a backlog waits: with all rules active, the earlier ones too."""
        compiled = backlog.compiled
        stages = self._stages[compiled]
        if compiled.directive.always_active:
            return stages[:current]
        return (stages[current - 1],)

    def _add_former(self, compiled: CompiledDirective) -> None:
        compiled.former = True
        self._by_definition[compiled.directive] = compiled
        self._former.add(compiled)

    def _drop_unused(self, former: CompiledDirective) -> None:
        if not _is_any_waiting(self._stages[former]):
            del self._stages[former]
            del self._by_definition[former.directive]
            self._former.remove(former)
            self._note_searched()


def _stages(compiled: CompiledDirective) -> tuple[Stage, ...]:
    return tuple(Stage(rule, compiled) for rule in compiled.rules)


def _is_any_waiting(stages: Iterable[Stage]) -> bool:
    return any(stage.waiting for stage in stages)


def _one_stage_each(consumers: list[Consumer]) -> list[Consumer]:
    """Each backlog once: at its current stage, else at the earliest matching one."""
    chosen: dict[Backlog, int] = {}
    for backlog, stage in consumers:
        if backlog not in chosen or stage == backlog.stage:
            chosen[backlog] = stage
    return list(chosen.items())
