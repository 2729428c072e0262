"""The verdicts on events, held against what the engine then does with them, over random input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings

from engine.correlation.correlator import Correlator
from engine.event import NormalizedEvent
from engine.explain.explainer import DirectiveVerdicts
from engine.explain.explaining_correlator import ExplainingCorrelator
from engine.explain.verdict import CONSUMED, Verdict
from tests.support.engine_adapter import EngineUnderTest
from tests.support.examples import examples
from tests.support.oracle import Output
from tests.support.strategies import Scenario, scenarios

TAKEN = ("taken", "finished", "revisited", "averted")
SAME = ("opened", "repeated", "suppressed", "sticky_seen", "out_of_order", "too_late", "averted")
COUNTED = (*SAME, "taken", "finished")
RARE = {"too_late", "averted"}
REACHED = {*CONSUMED, "no_match", "expired_before"} - RARE
seen: Counter[str] = Counter()


class ExplainedEngine(EngineUnderTest):
    """The engine with an explaining correlator, which keeps its last verdicts."""

    def _fresh(self) -> Correlator:
        self.explaining = ExplainingCorrelator(self._directives, self._assets, self._options)
        self.explaining.listener = self._listen
        self.begin_event()
        return self.explaining

    def begin_event(self) -> None:
        self.verdicts: list[Verdict] = []
        self.finished = 0
        self.explaining.take_finished_by_time()

    def _listen(self, _: NormalizedEvent, verdicts: list[DirectiveVerdicts]) -> None:
        """Keep the verdicts, and count the backlogs that have no other stage to finish then."""
        for backlog, verdict in (one for found in verdicts for one in found.verdicts):
            self.verdicts.append(verdict)
            if backlog is not None and verdict.verdict == "finished":
                self.finished += len(backlog.starts) == len(backlog.compiled.rules)
            self.finished += verdict.verdict == "opened" and self.stages_of(verdict.directive) == 1

    def stages_of(self, directive: int) -> int:
        return len(next(one for one in self._directives if one.id == directive).rules)

    def predicted_counts(self) -> dict[str, int]:
        """The counts that the engine is to have, if the verdicts are right."""
        kinds: Counter[str] = Counter(verdict.verdict for verdict in self.verdicts)
        counts = {name: kinds[name] for name in SAME}
        finished = self.finished + self.explaining.take_finished_by_time().total()
        counts |= {"taken": sum(kinds[name] for name in TAKEN), "finished": finished}
        return {name: count for name, count in counts.items() if count}

    def predicted_events(self, event_id: str) -> Iterator[tuple[str | None, int, str]]:
        """The alarm, stage and event id of each alarm event; None for an alarm still to open."""
        for verdict in self.verdicts:
            if verdict.verdict in TAKEN:
                yield self._names[verdict.backlog], verdict.stage, event_id
            elif verdict.verdict == "opened":
                yield None, 1, event_id


def check(engine: ExplainedEngine, event_id: str, output: Output) -> None:
    assert engine.predicted_counts() == {
        name: output.counts[name] for name in COUNTED if output.counts.get(name)
    }
    opened = [verdict.directive for verdict in engine.verdicts if verdict.verdict == "opened"]
    real = [(line["alarm_id"], line["stage"], line["event_id"]) for line in output.alarm_events]
    predicted = list(engine.predicted_events(event_id))
    assert [stage for _, stage, _ in real] == [stage for _, stage, _ in predicted]
    names = iter(opened)
    for (name, _, id_), (alarm, _, predicted_id) in zip(real, predicted, strict=True):
        assert id_ == predicted_id
        assert name == alarm if alarm else name.startswith(f"{next(names)}/")
    for verdict in engine.verdicts:
        seen[verdict.verdict] += 1
        assert (verdict.refusal is not None) == (verdict.verdict == "no_match")
        if verdict.refusal is not None:
            assert 0 <= verdict.refusal.met < verdict.refusal.conditions


@settings(
    max_examples=examples(600),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(scenarios())
def check_scenario(scenario: Scenario) -> None:
    engine = ExplainedEngine(scenario.assets, scenario.directives, scenario.options)
    plain = EngineUnderTest(scenario.assets, scenario.directives, scenario.options)
    for moment in scenario.moments:
        engine.begin_event()
        if not moment.event:
            assert engine.tick(moment.now) == plain.tick(moment.now)
            continue
        output = engine.event(moment.event, moment.now)
        assert output == plain.event(moment.event, moment.now), "explaining changes nothing"
        check(engine, str(moment.event["event_id"]), output)


def test_the_engine_does_what_the_verdicts_say() -> None:
    check_scenario()
    assert seen.keys() >= REACHED, "the input is not random enough"
