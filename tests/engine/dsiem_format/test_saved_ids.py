"""The ids in a saved file, which has no identities: an event with one is a repeat, for a while."""

from engine.address import parse_network
from engine.asset import Asset, NetworkAssets
from engine.correlation.correlator import Correlator
from engine.options import Options
from tests.support.saved_alarms import (
    ACTIVE,
    ACTIVE_AT_3,
    AT_STAGE_2,
    AT_STAGE_3,
    BRUTE_FORCE,
    T0,
    changed,
    correlator_of,
    directive_of,
    event,
    going_on,
    state_of,
    take,
)

WINDOW = Options().repeat_window
NETWORK = NetworkAssets([Asset("lan", parse_network("10.0.0.0/8")[0], 3)])
SAVED = 40
"""When the files were saved, after T0."""


def test_the_opening_event_and_those_of_the_current_stage_are_repeats() -> None:
    correlator = going_on(AT_STAGE_2)
    assert take(correlator, "e1", 1, 50).counts == {"repeated": 1}
    assert take(correlator, "e2", 2, 50).counts == {"repeated": 1}
    assert take(correlator, "e3", 2, 50, src_port=4009).counts == {"repeated": 1}
    assert take(correlator, "e4", 1, 50).counts == {"opened": 1}


def test_with_rules_always_active_those_of_all_stages_are() -> None:
    correlator = going_on(ACTIVE_AT_3, directive=ACTIVE)
    for id_ in ("e1", "e8", "e2", "e3", "e4", "e5"):
        assert take(correlator, id_, 3, 50).counts == {"repeated": 1}
    assert take(correlator, "e6", 3, 50).counts["taken"] == 1


def test_they_are_repeats_when_their_backlog_has_closed_too() -> None:
    correlator = going_on(AT_STAGE_3)
    assert take(correlator, "e6", 3, 50).counts == {"taken": 1, "finished": 1}
    assert take(correlator, "e1", 1, 60).counts == {"repeated": 1}
    assert take(correlator, "e5", 3, 60).counts == {"repeated": 1}
    assert len(correlator) == 0


def test_they_are_repeats_for_the_window_since_the_last_event_of_the_backlog() -> None:
    for after, expected in ((SAVED + WINDOW, "repeated"), (SAVED + WINDOW + 1, "opened")):
        correlator = going_on(AT_STAGE_3)
        assert take(correlator, "e1", 1, after).counts == {expected: 1}


def test_they_are_forgotten_after_the_window() -> None:
    correlator = going_on(AT_STAGE_3)
    saved_ids = correlator.memory.saved_ids
    assert len(saved_ids) == 5
    correlator.advance_time(saved_ids.prune_at)
    assert len(saved_ids) == 0
    assert saved_ids.prune_at > T0 + SAVED + WINDOW


def test_without_a_window_they_are_no_repeats() -> None:
    correlator = correlator_of(options=Options(repeat_window=0))
    assert correlator.restore([state_of(AT_STAGE_3)]) == []
    assert take(correlator, "e5", 3, 50).counts == {"taken": 1, "finished": 1}


def test_another_directive_takes_them() -> None:
    directives = [directive_of(), directive_of(changed(BRUTE_FORCE, id=6))]
    correlator = Correlator(directives, NETWORK, Options())
    assert correlator.restore([state_of(AT_STAGE_2)]) == []
    assert take(correlator, "e1", 1, 50).counts == {"repeated": 1, "opened": 1}


def test_a_backlog_with_identities_leaves_no_ids_behind() -> None:
    correlator = going_on(AT_STAGE_2)
    [state] = correlator.snapshots()
    assert not state.ids_only
    again = correlator_of()
    assert again.restore([state]) == []
    assert len(again.memory.saved_ids) == 0
    assert take(again, "e3", 2, 50).counts["taken"] == 1


def test_each_backlog_has_a_time_of_its_own_in_whatever_order_they_come() -> None:
    late = changed(AT_STAGE_3, update_time=T0 + 90, alarm_id="late")
    late = changed(late, rule1={"saved_event_ids": ["f1"]}, rule3={"saved_event_ids": ["f5"]})
    for items in ((AT_STAGE_3, late), (late, AT_STAGE_3)):
        correlator = going_on(*items)
        now = T0 + SAVED + WINDOW + 1
        outcomes = [
            dict(correlator.process_event(event(id_, 1, 50), now).counts) for id_ in ("f1", "e1")
        ]
        assert outcomes == [{"repeated": 1}, {"opened": 1}]
