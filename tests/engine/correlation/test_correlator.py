"""The changes that a correlator reports: a copy kept by them equals its open backlogs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.alarm import BacklogKey, RuleRecord
from engine.asset import NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.correlation.snapshot import BacklogSnapshot, HeldItems
from engine.directives.directive import Directive
from engine.event import NormalizedEvent
from engine.options import Options
from tests.support.engine_adapter import EngineUnderTest
from tests.support.events import backlog_key, make_event
from tests.support.examples import examples
from tests.support.oracle import Output
from tests.support.strategies import MOMENTS, Moment, Scenario, scenarios

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
few = settings(max_examples=examples(120), deadline=None, suppress_health_check=SLOW)
NO_TRACE = {"sticky_seen", "repeated", "out_of_order"}
Copy = dict[BacklogKey, BacklogSnapshot]


def process_moment(engine: EngineUnderTest, moment: Moment) -> Output:
    return engine.event(moment.event, moment.now) if moment.event else engine.tick(moment.now)


def engine_of(scenario: Scenario) -> EngineUnderTest:
    return EngineUnderTest(scenario.assets, scenario.directives, scenario.options)


def open_now(correlator: Correlator) -> Copy:
    return {state.key: state for state in correlator.snapshots()}


def update(copy: Copy, correlator: Correlator) -> None:
    """As a crash checkpoint does it."""
    for key in correlator.take_changed():
        state = correlator.snapshot_of(key)
        if state is None:
            copy.pop(key, None)
        else:
            copy[key] = state


@few
@given(scenarios(), st.sets(st.integers(0, MOMENTS - 1)), st.sets(st.integers(0, MOMENTS - 1)))
def test_a_copy_that_takes_only_changes_is_the_whole(
    scenario: Scenario, looks: set[int], crashes: set[int]
) -> None:
    """After a crash, what the copy holds is gone on with."""
    engine = engine_of(scenario)
    copy: Copy = {}
    for number, moment in enumerate(scenario.moments):
        if number in crashes:
            engine.restart(copy.values())
        process_moment(engine, moment)
        if number in looks:
            update(copy, engine.correlator)
            assert copy == open_now(engine.correlator)
    update(copy, engine.correlator)
    assert copy == open_now(engine.correlator)


@few
@given(scenarios())
def test_nothing_else_is_reported_as_changed(scenario: Scenario) -> None:
    engine = engine_of(scenario)
    before: Copy = {}
    for moment in scenario.moments:
        process_moment(engine, moment)
        after = open_now(engine.correlator)
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        keys = list(engine.correlator.take_changed())
        assert set(keys) == changed
        assert len(keys) == len(changed)
        before = after


@few
@given(scenarios())
def test_what_leaves_no_trace_is_no_change(scenario: Scenario) -> None:
    engine = engine_of(scenario)
    for moment in scenario.moments:
        engine.tick(moment.now)  # time may finish a stage, which is counted nowhere
        engine.correlator.take_changed()
        output = process_moment(engine, moment)
        if output.counts.keys() <= NO_TRACE and not output.alarms:
            assert list(engine.correlator.take_changed()) == []


def rule(stage: int, from_: str) -> RuleRecord:
    return RuleRecord(
        name="r",
        type="PluginRule",
        stage=stage,
        plugin_id=1,
        plugin_sid=(stage,),
        occurrence=2 if stage > 1 else 1,
        reliability=5,
        timeout=60,
        from_=from_,
        to="ANY",
        port_from="ANY",
        port_to="ANY",
        protocol="ANY",
    )


def correlator(*, track_changes: bool = False) -> Correlator:
    rules = (rule(1, "ANY"), rule(2, ":1"))
    directives = [
        Directive(
            id=number,
            name="Trouble",
            kingdom="k",
            category="c",
            priority=5,
            always_active=False,
            rules=rules,
        )
        for number in (1, 2)
    ]
    return Correlator(directives, NetworkAssets([]), Options(track_changes=track_changes))


def event(id_: str, sid: int, time: int, src_ip: str = "10.0.0.1") -> NormalizedEvent:
    return make_event(id_, time, src_ip=src_ip, dst_ip="10.0.0.2", plugin_id=1, plugin_sid=sid)


WINDOW = Options().repeat_window
BOTH = sorted(backlog_key(number, event("e1", 1, 100)) for number in (1, 2))
FIRST = BOTH[0]
"""The keys of the backlogs that e1 opens."""


@pytest.fixture
def tracked() -> Correlator:
    """Both directives have one backlog open, opened by e1."""
    made = correlator(track_changes=True)
    made.process_event(event("e1", 1, 100), 100)
    return made


def test_each_opened_changed_or_closed_backlog_is_reported_once(tracked: Correlator) -> None:
    assert sorted(tracked.take_changed()) == BOTH
    assert list(tracked.take_changed()) == []
    tracked.process_event(event("e2", 2, 101), 101)
    assert sorted(tracked.take_changed()) == BOTH
    tracked.process_event(event("e3", 2, 102), 102)
    assert sorted(tracked.take_changed()) == BOTH
    assert [tracked.snapshot_of(key) for key in BOTH] == [None, None]


def test_expired_backlogs_are_reported(tracked: Correlator) -> None:
    list(tracked.take_changed())
    tracked.advance_time(1000)
    assert sorted(tracked.take_changed()) == BOTH


def test_a_backlog_that_is_opened_again_by_the_same_event_is_one_key(tracked: Correlator) -> None:
    tracked.advance_time(200)
    tracked.process_event(event("e1", 1, 100), 100 + WINDOW + 1)
    assert sorted(tracked.take_changed()) == BOTH
    state = tracked.snapshot_of(FIRST)
    assert state is not None
    assert state.updated == 100 + WINDOW + 1


def test_restored_backlogs_are_reported_as_changed_again(tracked: Correlator) -> None:
    again = correlator(track_changes=True)
    tracked.take_changed()
    again.restore(tracked.snapshots())
    assert sorted(again.take_changed()) == BOTH


@pytest.mark.parametrize("key", [(1, "e2"), (3, "e1"), (-1, "")])
def test_there_is_no_state_of_what_is_not_open(tracked: Correlator, key: BacklogKey) -> None:
    assert tracked.snapshot_of(key) is None


def test_without_tracking_no_changes_are_kept() -> None:
    untracked = correlator()
    untracked.process_event(event("e1", 1, 100), 100)
    untracked.advance_time(1000)
    assert list(untracked.take_changed()) == []


@pytest.mark.parametrize("shuffled", [sorted, lambda states, key: sorted(states, key=key)[::-1]])
def test_oldest_first_survives_whatever_order_the_rows_come_in(
    shuffled: Callable[..., list[BacklogSnapshot]],
) -> None:
    before, after = correlator(track_changes=True), correlator(track_changes=True)
    for number in range(12):
        before.process_event(event(f"e{number}", 1, 100, f"10.0.0.{number}"), 100)
    states = shuffled(before.snapshots(), key=lambda state: state.opening_id)
    after.restore(states)
    assert after.snapshots() == before.snapshots()
    after.process_event(event("new", 1, 100, "10.0.1.0"), 100)
    assert [state.opening_id for state in after.snapshots()][11:13] == ["e11", "new"]


def test_restored_beside_open_ones_is_younger_than_they_are() -> None:
    before, after = correlator(), correlator()
    before.process_event(event("old", 1, 100), 100)
    after.process_event(event("open", 1, 100, "10.0.0.9"), 100)
    assert after.restore(before.snapshots()) == []
    orders = {state.opening_id: state.order for state in after.snapshots() if state.directive == 1}
    assert orders == {"open": 0, "old": 1}


def test_with_gaps_in_their_ages_the_restored_are_still_the_older_ones() -> None:
    before, after = correlator(), correlator()
    for number in range(6):
        before.process_event(event(f"e{number}", 1, 100, f"10.0.0.{number}"), 100)
    after.restore([state for state in before.snapshots() if state.order in (2, 5)])
    after.process_event(event("new", 1, 100, "10.0.1.0"), 100)
    orders = {state.opening_id: state.order for state in after.snapshots()}
    assert orders == {"e2": 2, "e5": 5, "new": 6}


def test_what_changes_after_it_was_asked_is_not_in_the_answer(tracked: Correlator) -> None:
    keys = tracked.take_changed()
    tracked.process_event(event("e7", 1, 100, "10.0.0.7"), 100)
    assert sorted(keys) == BOTH
    later = [backlog_key(number, event("e7", 1, 100, "10.0.0.7")) for number in (1, 2)]
    assert sorted(tracked.take_changed()) == later


class Unvisited(dict[int, DirectiveBacklogs]):
    """The backlogs of all directives; only those of one that is named may be looked at."""

    def _fail(self) -> NoReturn:
        pytest.fail("it visits all directives")

    __iter__ = items = keys = values = _fail


def test_what_is_asked_again_and_again_does_not_visit_all_directives(tracked: Correlator) -> None:
    """Growth: with 12,000 directives each visit of all of them takes a millisecond."""
    tracked._by_directive = Unvisited(tracked._by_directive)
    assert tracked.active_directives == len(tracked) == 2
    assert sorted(tracked.take_changed()) == sorted(tracked.open_keys()) == BOTH
    assert tracked.is_open(FIRST)
    assert not tracked.is_open((3, FIRST[1]))
    assert list(tracked.open_backlogs()) == [1, 2]
    tracked.advance_time(1000)
    assert tracked.active_directives == len(tracked) == 0
    assert sorted(tracked.take_changed()) == BOTH
    assert list(tracked.open_keys()) == []


def test_a_snapshot_leaves_out_what_is_held_of_the_same_backlog(tracked: Correlator) -> None:
    tracked.process_event(event("e2", 2, 101), 101)
    state = tracked.snapshot_of(FIRST, HeldItems(0, {"ids.2": 1, "src_ips": 1}))
    assert state is not None
    assert (state.ids, state.src_ips, state.dst_ips) == ((), (), ("10.0.0.2",))
    assert state.left_out == {"ids.2": 1, "src_ips": 1}
    whole = tracked.snapshot_of(FIRST)
    assert whole is not None
    assert state.with_sets(whole.sets, {}) == whole
    for held in (HeldItems(7, {"ids.2": 1}), HeldItems(0, {"ids.2": 2, "ids.1": 1, "other": 1})):
        assert tracked.snapshot_of(FIRST, held) == whole
