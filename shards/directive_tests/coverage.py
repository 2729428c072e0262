"""What tests cover of directives: their stages, and both results of their conditions."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct, field

from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.directives.directive import Directive
from engine.event import NormalizedEvent
from engine.explain.explainer import Explainer
from engine.explain.rule_checks import TYPE_FIELDS
from engine.explain.verdict import Verdict


class StageCoverage(Struct):
    """What happened to a stage in any test; `conditions`: the results of each, by its field."""

    reached: bool = False
    finished: bool = False
    timed_out: bool = False
    averted: bool = False
    conditions: dict[str, set[bool]] = field(default_factory=dict)

    def __str__(self) -> str:
        """The stage in words."""
        if not self.reached:
            return "never reached"
        ends = [name for name in ("finished", "timed_out", "averted") if getattr(self, name)]
        return ", ".join(ends).replace("_", " ") or "reached, never finished"

    @property
    def one_sided(self) -> Iterator[str]:
        """`from, to never false`: the conditions with one result only."""
        for missing in (False, True):
            names = [
                name
                for name, results in self.conditions.items()
                if results and missing not in results
            ]
            if names:
                yield f"{', '.join(names)} never {str(missing).lower()}"


class Coverage:
    """The coverage of the directives of one folder."""

    def __init__(self) -> None:
        self.stages: dict[int, list[StageCoverage]] = {}
        self.names: dict[int, str] = {}
        self._explainer = Explainer()

    def add_directives(self, directives: Iterable[Directive]) -> None:
        """Add directives that tests could cover; those that are known stay as they are."""
        for directive in directives:
            self.names.setdefault(directive.id, directive.name)
            self.stages.setdefault(directive.id, [StageCoverage() for _ in directive.rules])

    @property
    def total(self) -> int:
        """Number of all stages."""
        return sum(map(len, self.stages.values()))

    @property
    def finished(self) -> int:
        """Number of stages that a test has finished."""
        return sum(stage.finished for stages in self.stages.values() for stage in stages)

    def add(
        self,
        event: NormalizedEvent,
        compiled: CompiledDirective,
        backlog: Backlog | None,
        verdict: Verdict,
    ) -> None:
        """Add a verdict on an event, of a backlog or of the directive."""
        if not verdict.stage:
            return
        stages = self.stages[verdict.directive]
        stage = stages[verdict.stage - 1]
        stage.reached |= backlog is not None
        stage.averted |= verdict.verdict == "averted"
        if verdict.verdict in ("opened", "finished"):
            self._finish((backlog.compiled if backlog else compiled).directive, verdict.stage)
        self._add_conditions(event, compiled, backlog, stage, verdict.stage)

    def _finish(self, directive: Directive, number: int) -> None:
        """Note that a stage was finished, and those reached that are open by that."""
        stages = self.stages[directive.id]
        stages[number - 1].reached = stages[number - 1].finished = True
        for following in stages[number:] if directive.any_order else stages[number : number + 1]:
            following.reached = True

    def _add_conditions(
        self,
        event: NormalizedEvent,
        compiled: CompiledDirective,
        backlog: Backlog | None,
        stage: StageCoverage,
        number: int,
    ) -> None:
        """Add the results of the conditions of the stage, if the event is of its kind."""
        rules = backlog.compiled if backlog is not None else compiled
        rule = rules.rules[number - 1]
        info = compiled.assets.address_info
        src, dst = info(event.src_ip), info(event.dst_ip)
        of_its_kind = rule.predicates[0]
        if not of_its_kind(event, src, dst):
            return
        checks = self._explainer.checks_of(rule, rules)
        bound = backlog.bound if backlog is not None else None
        for name, result in checks.results(event, src, dst, bound):
            if name not in TYPE_FIELDS:
                stage.conditions.setdefault(name, set()).add(result)

    def add_timeout(self, directive: Directive, stage: int, *, finished: bool) -> None:
        """Add that the timeout of a stage has passed; `finished`: it was absent."""
        if finished:
            self._finish(directive, stage)
        else:
            self.stages[directive.id][stage - 1].timed_out = True

    def as_document(self) -> list[dict[str, Any]]:
        """The coverage for programs."""
        return [
            {
                "directive": id_,
                "name": self.names[id_],
                "stages": [
                    {
                        "stage": number,
                        "reached": stage.reached,
                        "finished": stage.finished,
                        "timed_out": stage.timed_out,
                        "averted": stage.averted,
                        "conditions": {
                            name: sorted(results) for name, results in stage.conditions.items()
                        },
                    }
                    for number, stage in enumerate(self.stages[id_], 1)
                ],
            }
            for id_ in sorted(self.stages)
        ]
