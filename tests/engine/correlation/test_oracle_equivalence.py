"""Properties of correlation, checked over random directives and streams of events.

The engine equals the oracle; splitting the directives changes nothing; saving and restoring
changes nothing. The cases in tests/correlation/*.json test single behaviours.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine_adapter import EngineUnderTest
from tests.support.examples import examples
from tests.support.oracle import Oracle, Output
from tests.support.strategies import MOMENTS, Json, Moment, Scenario, scenarios

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
few = settings(max_examples=examples(120), deadline=None, suppress_health_check=SLOW)
many = settings(few, max_examples=examples(400))
same_each_time = settings(few, max_examples=400, derandomize=True, database=None)

MOST_DIRECTIVES = 5
REACHED_BY_ONE_IN_EIGHTY = (
    *("opened", "taken", "finished", "expired", "repeated", "sticky_seen", "out_of_order"),
    *("several consume", "earlier stage", "suppressed"),
)


@dataclass
class Written:
    """All that one run wrote, each alarm's lines of each kind by themselves, and its counts."""

    lines: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    open_backlogs: int = 0

    def add(self, output: Output) -> None:
        self.counts.update(output.counts)
        self.add_lines("alarm event", output.alarm_events)
        self.add_lines("alarm", output.alarms)
        self.add_lines("due", output.due)

    def add_lines(self, kind: str, records: list[Json]) -> None:
        for record in records:
            self.lines[kind, record["alarm_id"]].append(json.dumps(record))


def engine_of(scenario: Scenario) -> EngineUnderTest:
    return EngineUnderTest(scenario.assets, scenario.directives, scenario.options)


def process_moment(engine: EngineUnderTest | Oracle, moment: Moment) -> Output:
    return engine.event(moment.event, moment.now) if moment.event else engine.tick(moment.now)


def without_reuse(output: Output) -> Output:
    """Each shard counts reused ids by itself."""
    output.counts.pop("id_reused", None)
    return output


def comparable(output: Output) -> Json:
    """Lines to the letter, in order within each alarm."""
    return {
        "counts": output.counts,
        "alarm_events": by_alarm(output.alarm_events),
        "alarms": by_alarm(output.alarms),
        "due": by_alarm(output.due),
    }


def by_alarm(records: list[Json]) -> list[str]:
    ordered = sorted(records, key=lambda record: str(record["alarm_id"]))
    return [json.dumps(record) for record in ordered]


@many
@given(scenarios())
def test_the_engine_equals_the_oracle_at_every_step(scenario: Scenario) -> None:
    engine = engine_of(scenario)
    oracle = Oracle(scenario.assets, scenario.directives, scenario.options)
    for moment in scenario.moments:
        assert comparable(process_moment(engine, moment)) == comparable(
            process_moment(oracle, moment)
        )
        assert engine.open_backlogs == oracle.open_backlogs


@few
@given(scenarios(), st.sets(st.integers(0, MOMENTS - 1), min_size=1))
def test_saving_and_restoring_at_any_points_changes_nothing(
    scenario: Scenario, cuts: set[int]
) -> None:
    engine, restored = engine_of(scenario), engine_of(scenario)
    for number, moment in enumerate(scenario.moments):
        if number in cuts:
            restored.save_and_restore()
        assert comparable(process_moment(restored, moment)) == comparable(
            process_moment(engine, moment)
        )
        assert restored.open_backlogs == engine.open_backlogs


@pytest.mark.parametrize("shards", [1, 2, 5])
@settings(few, max_examples=examples(60))
@given(
    scenario=scenarios(most_directives=MOST_DIRECTIVES),
    places=st.lists(st.integers(0, 4), min_size=MOST_DIRECTIVES, max_size=MOST_DIRECTIVES),
)
def test_any_split_of_the_directives_writes_the_same(
    scenario: Scenario, places: list[int], shards: int
) -> None:
    whole = run(scenario, [scenario.directives])
    assert run(scenario, split(scenario.directives, places, shards)) == whole


@few
@given(scenario=scenarios(most_directives=MOST_DIRECTIVES))
def test_engines_with_only_their_own_events_write_the_same(scenario: Scenario) -> None:
    each_alone = [[directive] for directive in scenario.directives]
    whole = run(scenario, [scenario.directives])
    assert run(scenario, each_alone, only_concerned=True) == whole


def split(directives: list[Json], places: list[int], shards: int) -> list[list[Json]]:
    """Each directive in the shard of its place; some shards may be without any."""
    parts: list[list[Json]] = [[] for _ in range(shards)]
    for directive, place in zip(directives, places, strict=False):
        parts[place % shards].append(directive)
    return parts


def run(scenario: Scenario, parts: list[list[Json]], *, only_concerned: bool = False) -> Written:
    """One engine for each part, and what all of them wrote, with a last tick for each."""
    written = Written()
    for directives in parts:
        engine = EngineUnderTest(scenario.assets, directives, scenario.options)
        for moment in scenario.moments:
            if moment.event:
                engine.name(moment.event)
            if not only_concerned or concerned(directives, moment):
                written.add(without_reuse(process_moment(engine, moment)))
        written.add(engine.tick(max((moment.now for moment in scenario.moments), default=0)))
        written.add(engine.end())
        written.open_backlogs += engine.open_backlogs
    return written


def concerned(directives: list[Json], moment: Moment) -> bool:
    """Has any rule the plugin of the event, or its taxonomy?"""
    event = moment.event or {}
    return any(has_identity(rule, event) for one in directives for rule in one["rules"])


def has_identity(rule: Json, event: Json) -> bool:
    if rule["type"] == "PluginRule":
        return str(event.get("plugin_sid")) in map(str, rule["plugin_sid"])
    return bool(event.get("category") == rule["category"])


def test_the_streams_reach_what_they_are_for() -> None:
    """A property over streams in which nothing happens would hold for any engine."""
    reached: Counter[str] = Counter()

    @same_each_time
    @given(scenarios())
    def watch(scenario: Scenario) -> None:
        reached.update(set(happenings(scenario)))

    watch()
    rare = {what: reached[what] for what in REACHED_BY_ONE_IN_EIGHTY if reached[what] < 5}
    assert not rare, "of 400 scenarios"


def happenings(scenario: Scenario) -> Iterable[str]:
    """What happens in a scenario, as the oracle sees it."""
    oracle = Oracle(scenario.assets, scenario.directives, scenario.options)
    for moment in scenario.moments:
        current = {backlog.alarm_id: backlog.current for backlog in oracle.backlogs}
        output = process_moment(oracle, moment)
        yield from output.counts
        if sum(output.counts.values()) > 1 and output.counts.get("taken", 0) > 1:
            yield "several consume"
        if any(one["stage"] < current.get(one["alarm_id"], 0) for one in output.alarm_events):
            yield "earlier stage"
