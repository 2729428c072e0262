"""Reloads of the configuration, over random directives and streams: the engine equals the oracle.

Single behaviours of reloads are in test_reload.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.correlation.test_oracle_equivalence import (
    comparable,
    engine_of,
    few,
    process_moment,
    same_each_time,
)
from tests.support.oracle import Oracle
from tests.support.strategies import MOMENTS, ReloadScenario, Scenario, reload_scenarios

REACHED_BY_ONE_IN_EIGHTY = ("removed", "former", "taken by a former one", "changed back")


def oracle_of(scenario: Scenario) -> Oracle:
    return Oracle(scenario.assets, scenario.directives, scenario.options)


@few
@given(reload_scenarios(), st.sets(st.integers(0, MOMENTS - 1)))
def test_after_reloads_the_engine_equals_the_oracle(
    reloaded: ReloadScenario, cuts: set[int]
) -> None:
    """It is also saved and restored at some points."""
    scenario = reloaded.scenario
    engine, oracle = engine_of(scenario), oracle_of(scenario)
    for number, moment in enumerate(scenario.moments):
        if number in cuts:
            engine.save_and_restore()
        if (new := reloaded.reloads.get(number)) is not None:
            assert comparable(engine.tick(moment.now)) == comparable(oracle.tick(moment.now))
            assert comparable(engine.reload(new.assets, new.directives, moment.now)) == comparable(
                oracle.reload(new.assets, new.directives, moment.now)
            )
        assert comparable(process_moment(engine, moment)) == comparable(
            process_moment(oracle, moment)
        )
        assert engine.open_backlogs == oracle.open_backlogs


def test_the_scenarios_reach_what_they_are_for() -> None:
    """A property over reloads that change nothing would hold for any engine."""
    reached: Counter[str] = Counter()

    @same_each_time
    @given(reload_scenarios())
    def watch(reloaded: ReloadScenario) -> None:
        reached.update(set(happenings(reloaded)))

    watch()
    rare = {what: reached[what] for what in REACHED_BY_ONE_IN_EIGHTY if reached[what] < 5}
    assert not rare, "of 200 scenarios"


def happenings(reloaded: ReloadScenario) -> Iterable[str]:
    """What happens around reloads, as the oracle sees it."""
    oracle = oracle_of(reloaded.scenario)
    were_former: set[int] = set()
    for number, moment in enumerate(reloaded.scenario.moments):
        if (new := reloaded.reloads.get(number)) is not None:
            yield from oracle.reload(new.assets, new.directives, moment.now).counts
            backlogs = {id(one) for one in oracle.backlogs}
            former = {id(one) for one in oracle.backlogs if one.directive not in oracle.directives}
            if former:
                yield "former"
            if were_former & backlogs - former:
                yield "changed back"
            were_former = former
        before = {one.alarm_id for one in oracle.backlogs if id(one) in were_former}
        output = process_moment(oracle, moment)
        if any(record["alarm_id"] in before for record in output.alarm_events):
            yield "taken by a former one"
