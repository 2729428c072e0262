"""Saved alarms: backlogs restored exactly, also from the format of the peers.

See test_saved_folder.py for the files, test_unusable_backlogs.py for what cannot be restored.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.alarm import CustomData
from engine.correlation.snapshot import BacklogSnapshot
from engine.correlation.stages import MAX_FORMER
from engine.dsiem_format.saved_alarm import snapshot_from_alarm
from engine.dsiem_format.saved_document import parse_saved_alarms
from engine.options import Options
from tests.support.correlation_cases import Case, load_cases
from tests.support.engine_adapter import EngineUnderTest
from tests.support.oracle import Options as CaseOptions
from tests.support.oracle import Output
from tests.support.saved_alarms import (
    ACTIVE,
    ACTIVE_AT_3,
    AT_STAGE_2,
    AT_STAGE_3,
    BRUTE_FORCE,
    EDITED,
    T0,
    Json,
    changed,
    correlator_of,
    directive_of,
    few,
    going_on,
    state_of,
    take,
)
from tests.support.saved_backlogs import save_backlogs
from tests.support.strategies import MOMENTS, Moment, Scenario, scenarios

# Saved and read again, nothing is different.


def run(engine: EngineUnderTest, case: Case, cuts: set[int]) -> Iterator[Output]:
    """What comes of each step; before those at the cuts, all is saved as peers do, and read."""
    for number, step in enumerate(case.steps):
        if number in cuts:
            engine.save_and_restore_as_peers()
        yield engine.event(step.event, step.now) if step.event else engine.tick(step.now)


def comparable(output: Output) -> Json:
    """All but the address and port pairs that are due: the peers' form does not hold those.

    Only records of one alarm are ordered among themselves.
    """
    lines = {"alarms": output.alarms, "alarm_events": output.alarm_events}
    lines["due"] = [one | {"pairs": ()} for one in output.due]
    ordered = {
        kind: sorted(records, key=lambda record: str(record["alarm_id"]))
        for kind, records in lines.items()
    }
    return ordered | {"counts": output.counts}


def whole(case: Case) -> EngineUnderTest:
    return EngineUnderTest(case.assets, case.directives, CaseOptions(**case.options))


LOSSLESS = [case for case in load_cases() if not case.options.get("expiry_grace")]
"""The peers' form does not know of a time on the clock until which nothing expires."""


@pytest.mark.parametrize("case", LOSSLESS, ids=lambda case: case.name)
def test_a_case_is_the_same_with_the_peers_form_between_any_two_steps(case: Case) -> None:
    expected = list(map(comparable, run(whole(case), case, set())))
    cuts = [{number} for number in range(len(case.steps))] + [set(range(len(case.steps)))]
    for cut in cuts:
        assert list(map(comparable, run(whole(case), case, cut))) == expected


@few
@given(scenarios(), st.sets(st.integers(0, MOMENTS - 1), min_size=1))
def test_the_peers_form_between_any_two_moments_changes_nothing(
    scenario: Scenario, cuts: set[int]
) -> None:
    options = CaseOptions(
        min_alarm_lifetime=scenario.options.min_alarm_lifetime,
        match_protocol=scenario.options.match_protocol,
    )
    engines = [
        EngineUnderTest(scenario.assets, scenario.directives, options) for _ in ("whole", "cut")
    ]
    for number, moment in enumerate(scenario.moments):
        if number in cuts:
            engines[1].save_and_restore_as_peers()
        expected, output = (comparable(process_moment(engine, moment)) for engine in engines)
        assert output == expected
        assert engines[0].open_backlogs == engines[1].open_backlogs


def process_moment(engine: EngineUnderTest, moment: Moment) -> Output:
    return engine.event(moment.event, moment.now) if moment.event else engine.tick(moment.now)


@few
@given(scenarios())
def test_a_state_is_the_same_after_json(scenario: Scenario) -> None:
    engine = EngineUnderTest(scenario.assets, scenario.directives, scenario.options)
    for moment in scenario.moments:
        process_moment(engine, moment)
    states = engine.correlator.snapshots()
    again = msgspec.json.decode(msgspec.json.encode(states), type=list[BacklogSnapshot])
    assert again == states
    engine.restart(again)
    assert engine.correlator.snapshots() == states


def test_a_file_at_stage_2_is_gone_on_with_to_the_last_alarm() -> None:
    correlator = going_on(AT_STAGE_2)
    assert take(correlator, "e9", 2, 50, src_port=4001).counts == {"sticky_seen": 1}
    assert take(correlator, "e3", 2, 50).counts == {"repeated": 1}
    [second] = take(correlator, "e4", 2, 55).published
    take(correlator, "e5", 3, 60)
    [last] = take(correlator, "e6", 3, 70).published
    assert {second.alarm.alarm_id, last.alarm.alarm_id} == {"V1StGXR8_"}
    assert (second.alarm.created_time, last.alarm.created_time) == (T0 + 55, T0 + 55)
    assert (second.alarm.risk, last.alarm.risk) == (4, 8)
    assert [rule.status for rule in last.alarm.rules] == ["finished"] * 3
    assert [rule.end_time - T0 for rule in last.alarm.rules] == [0, 55, 70]
    assert len(correlator) == 0


def test_a_file_at_stage_3_is_gone_on_with_as_if_it_had_never_stopped() -> None:
    correlator = going_on(AT_STAGE_3)
    assert take(correlator, "e6", 3, 50, dst_port=23).counts == {}
    [last] = take(correlator, "e6", 3, 50).published
    printed = msgspec.to_builtins(last.alarm)
    assert printed["title"] == "Brute force, 10.0.0.7 to mail"
    assert printed["created_time"] == T0 + 5
    assert printed["custom_data"] == ({"label": "user", "content": "root"},)
    assert [(one["from"], one["to"], one["port_to"]) for one in printed["rules"]] == [
        ("HOME_NET", "ANY", "ANY"),
        ("10.0.0.7", "10.0.0.25", "ANY"),
        ("10.0.0.7", "10.0.0.25", "22"),
    ]


def test_what_lookups_have_found_goes_on_with_the_backlog() -> None:
    intel = {"provider": "Wise", "term": "10.0.0.7", "result": "seen before"}
    vuln = {"provider": "Nesd", "term": "10.0.0.25:25", "result": "High - relay"}
    correlator = going_on(AT_STAGE_3 | {"intel_hits": [intel], "vulnerabilities": [vuln]})
    [(_, [saved])] = save_backlogs(correlator).items()
    [last] = take(correlator, "e6", 3, 50).published
    for printed in map(msgspec.to_builtins, (saved, last.alarm)):
        assert printed["intel_hits"] == (intel,)
        assert printed["vulnerabilities"] == (vuln,)


def test_the_state_in_a_file_is_complete() -> None:
    assert state_of(AT_STAGE_3) == BacklogSnapshot(
        directive=5,
        opened_by="V1StGXR8_",
        opening_id="e1",
        ids_only=True,
        alarm_id="V1StGXR8_",
        title="Brute force, 10.0.0.7 to mail",
        risk=20,
        starts=(T0, T0, T0 + 30),
        expires_at=T0 + 30 + 3600 + 1,
        updated=T0 + 40,
        created=T0 + 5,
        ids=("e5",),
        earlier_ids=(("e1",), ("e2", "e3", "e4")),
        bound=(
            (1, "dst_ip", "10.0.0.25"),
            (1, "src_ip", "10.0.0.7"),
            (2, "dst_port", 22),
        ),
        src_ips=("10.0.0.7",),
        dst_ips=("10.0.0.25",),
        custom_data=(CustomData("user", "root"),),
    )


def test_what_has_expired_meanwhile_is_published_as_timeout_by_the_next_tick() -> None:
    correlator = going_on(AT_STAGE_3)
    assert correlator.advance_time(T0 + 30 + 3600).published == []
    [late] = correlator.advance_time(T0 + 30 + 3600 + 1).published
    assert [rule.status for rule in late.alarm.rules] == ["finished", "finished", "timeout"]
    assert late.alarm.update_time == T0 + 40
    assert len(correlator) == 0


def test_a_longer_life_of_all_alarms_counts_for_a_file_too() -> None:
    document = parse_saved_alarms(msgspec.json.encode([AT_STAGE_3]))
    options = Options(min_alarm_lifetime=60, expiry_grace=1000)
    state = snapshot_from_alarm(document.alarms[0], directive_of(), options)
    assert state.expires_at == T0 + 30 + 3600 + 60 + 1


@pytest.mark.parametrize(
    ("patch", "starts"),
    [
        ({}, (T0, T0, T0 + 30)),
        ({"rule3": {"start_time": 0}}, (T0, T0, T0 + 30)),
        ({"rule3": {"start_time": None}, "rule2": {"end_time": None}}, (T0, T0, T0 + 5)),
        ({"rule1": {"start_time": 0, "end_time": 0}}, (T0 + 5, T0, T0 + 30)),
        ({"rule1": {"start_time": 0}, "created_time": 0}, (T0 + 40, T0, T0 + 30)),
    ],
)
def test_a_missing_start_time_is_estimated(patch: Json, starts: tuple[int, ...]) -> None:
    assert state_of(changed(AT_STAGE_3, **patch)).starts == starts


def test_without_the_id_of_the_opening_event_the_alarm_id_stands_for_it() -> None:
    item = changed(AT_STAGE_3, rule1={"saved_event_ids": None})
    assert state_of(item).opened_by == "V1StGXR8_"


REFERENCES = {"from": ":1", "to": ":1"}


def test_a_reference_that_was_not_saved_is_to_the_only_address_of_that_side() -> None:
    item = changed(AT_STAGE_3, rule2=REFERENCES, rule3=REFERENCES | {"port_to": "22"})
    assert state_of(item).bound == state_of(AT_STAGE_3).bound


def test_with_two_addresses_on_that_side_it_never_matches() -> None:
    item = changed(AT_STAGE_3, rule2=REFERENCES, rule3=REFERENCES)
    correlator = going_on(changed(item, src_ips=["10.0.0.7", "10.0.0.8"]))
    assert take(correlator, "e6", 3, 50).counts == {}
    assert take(correlator, "e6", 3, 50, src_ip="10.0.0.8").counts == {}
    [late] = correlator.advance_time(T0 + 30 + 3600 + 1).published
    assert (late.alarm.rules[2].from_, late.alarm.rules[2].to) == (":1", "10.0.0.25")


def test_a_port_that_was_not_saved_never_matches() -> None:
    correlator = going_on(changed(AT_STAGE_3, rule3={"port_to": ":2"}))
    assert take(correlator, "e6", 3, 50).counts == {}
    assert take(correlator, "e6", 3, 50, dst_port=0).counts == {}


def test_a_text_that_was_not_saved_never_matches_nor_does_the_reference_itself() -> None:
    directive = changed(BRUTE_FORCE, rule3={"custom_data1": ":1"})
    correlator = going_on(changed(AT_STAGE_3, rule3={"custom_data1": ":1"}), directive=directive)
    assert take(correlator, "e6", 3, 50, custom_data1=":1").counts == {}
    correlator = going_on(changed(AT_STAGE_3, rule3={"custom_data1": "Admin"}), directive=directive)
    assert take(correlator, "e6", 3, 50, custom_data1="admin ").counts == {
        "taken": 1,
        "finished": 1,
    }


def test_a_value_that_only_one_of_the_rules_prints_is_that_of_all() -> None:
    directive = changed(BRUTE_FORCE, rule2={"port_from": ":1"}, rule3={"port_from": ":1"})
    item = changed(AT_STAGE_3, rule2={"port_from": "4004"}, rule3={"port_from": ":1"})
    assert (1, "src_port", 4004) in state_of(item, directive).bound


def test_an_open_condition_is_the_same_however_it_is_printed() -> None:
    open_ones = {"port_from": "", "custom_data1": "ANY", "custom_data2": None}
    assert state_of(changed(AT_STAGE_3, rule2=open_ones)).rules == ()


def test_any_in_place_of_a_reference_is_a_rule_of_its_own() -> None:
    directive = changed(BRUTE_FORCE, rule3={"custom_data1": ":1"})
    correlator = going_on(changed(AT_STAGE_3, rule3={"custom_data1": "ANY"}), directive=directive)
    assert take(correlator, "e6", 3, 50, custom_data1="what").counts == {"taken": 1, "finished": 1}


def test_a_value_printed_for_a_stage_that_has_not_begun_does_not_count() -> None:
    """Peers print the opening event's; here it is that of the first event of the stage itself."""
    correlator = going_on(changed(AT_STAGE_2, rule2={"saved_event_ids": None}))
    for number in range(3):
        take(correlator, f"n{number}", 2, 50, src_port=5000 + number, dst_port=25)
    assert take(correlator, "e8", 3, 60, dst_port=22).counts == {}
    assert take(correlator, "e9", 3, 60, dst_port=25).counts == {"taken": 1}


# All rules always active.


def test_with_rules_always_active_the_earlier_stages_go_on_too() -> None:
    correlator = going_on(ACTIVE_AT_3, directive=ACTIVE)
    assert correlator.snapshots()[0].rules == ()
    assert take(correlator, "e8", 1, 50).counts == {"repeated": 1}
    assert take(correlator, "e4", 2, 50).counts == {"repeated": 1}
    assert take(correlator, "new1", 1, 50).counts == {"taken": 1}
    [again] = take(correlator, "new2", 2, 51).published
    assert (again.alarm.rules[0].from_, again.alarm.rules[0].to) == ("10.0.0.7", "10.0.0.25")
    assert take(correlator, "new3", 1, 50, src_ip="10.0.0.8").counts == {"opened": 1}


def test_a_state_saved_before_all_rules_became_always_active_is_taken_up() -> None:
    correlator = correlator_of(ACTIVE)
    assert correlator.restore([replace(state_of(AT_STAGE_3), earlier_ids=())]) == []
    assert correlator.snapshots()[0].earlier_ids == ((), ())
    assert take(correlator, "new", 2, 50).counts == {"taken": 1}


def test_a_state_saved_before_they_no_longer_were_is_too() -> None:
    correlator = correlator_of()
    assert correlator.restore([state_of(ACTIVE_AT_3, ACTIVE)]) == []
    assert correlator.snapshots()[0].earlier_ids == ()
    assert take(correlator, "new", 2, 50).counts == {}


# A directive that was edited since.


def test_a_backlog_goes_on_by_the_rules_of_its_file_and_the_priority_of_the_directive() -> None:
    correlator = going_on(AT_STAGE_2, directive=EDITED)
    assert take(correlator, "e7", 7, 50).counts == {}
    take(correlator, "e4", 2, 50)
    take(correlator, "e5", 3, 60)
    [last] = take(correlator, "e6", 3, 70).published
    assert last.alarm.risk == 2 * 10 * 5 // 25
    assert last.alarm.rules[2].occurrence == 2


def test_beside_it_others_are_opened_by_the_rules_that_the_directive_has_now() -> None:
    correlator = going_on(AT_STAGE_3, directive=EDITED)
    assert take(correlator, "n1", 1, 50).counts == {"opened": 1}
    assert take(correlator, "n2", 7, 50).counts == {"taken": 1}
    both = take(correlator, "n3", 3, 51)
    assert both.counts == {"taken": 2, "finished": 2}
    assert [record.alarm_id == "V1StGXR8_" for record in both.alarm_events] == [True, False]
    assert [publish.alarm.risk for publish in both.published] == [4, 1]


def test_its_own_rules_are_saved_with_it_in_both_forms() -> None:
    correlator = going_on(AT_STAGE_3, directive=EDITED)
    [state] = correlator.snapshots()
    assert state.definition is not None
    assert [rule.occurrence for rule in state.definition.rules] == [1, 3, 2]
    again = correlator_of(EDITED)
    assert again.restore([state]) == []
    assert again.snapshots() == [state]
    [(number, [saved])] = save_backlogs(again).items()
    assert number == 5
    assert snapshot_from_alarm(saved, directive_of(EDITED), Options()) == replace(
        state,
        earlier_ids=(("e1",), ()),
        ids_only=True,
        definition=None,
        rules=state.definition.rules,
    )


def test_a_file_with_more_stages_than_the_directive_has_now_keeps_them() -> None:
    shorter = changed(BRUTE_FORCE, rules=BRUTE_FORCE["rules"][:2])
    correlator = going_on(AT_STAGE_3, directive=shorter)
    assert (
        correlator.advance_time(T0 + 30 + 3600 + 1).published[0].alarm.rules[2].status == "timeout"
    )


def test_a_condition_that_peers_print_in_place_of_a_reference_is_that_of_a_rule_of_its_own() -> (
    None
):
    directive = changed(BRUTE_FORCE, rule1={"from": "10.0.0.0/24", "custom_data1": "a, b"})
    directive = changed(directive, rule3={"custom_data1": ":1"})
    patch = {"from": "10.0.0.0/24", "custom_data1": "a, b"}
    item = changed(AT_STAGE_3, rule1=patch, rule3=patch)
    correlator = going_on(item, directive=directive)
    assert take(correlator, "e6", 3, 50, src_ip="10.0.9.9", custom_data1="b").counts == {}
    counts = take(correlator, "e6", 3, 50, src_ip="10.0.0.99", custom_data1="b").counts
    assert counts == {"taken": 1, "finished": 1}


def test_of_several_other_rules_those_that_are_left_go_on() -> None:
    short = changed(AT_STAGE_3, rule1={"saved_event_ids": ["x1"]}, rule3={"timeout": 5})
    correlator = going_on(AT_STAGE_3, short, directive=EDITED)
    assert correlator.advance_time(T0 + 36).counts == {"expired": 1}
    assert take(correlator, "e6", 3, 50).counts == {"taken": 1, "finished": 1}


def test_when_the_last_of_them_is_closed_only_the_rules_of_the_directive_are_left() -> None:
    correlator = going_on(AT_STAGE_3, directive=EDITED)
    correlator.advance_time(T0 + 9999)
    assert save_backlogs(correlator) == {}
    assert take(correlator, "n1", 1, 50).counts == {"opened": 1}
    assert take(correlator, "n2", 7, 50).counts == {"taken": 1}


def test_there_may_be_many_other_rules_but_not_any_number() -> None:
    items = [
        changed(
            AT_STAGE_3,
            rule1={"saved_event_ids": [f"x{number}"]},
            rule3={"from": f"10.0.{number // 256}.{number % 256}"},
        )
        for number in range(MAX_FORMER + 3)
    ]
    correlator = correlator_of(EDITED)
    dropped = correlator.restore(state_of(item, EDITED) for item in items)
    assert [one.reason for one in dropped] == [
        (
            "it is under another definition than the directive has, and other open backlogs "
            f"are under {MAX_FORMER} more already"
        )
    ] * 3
    correlator.advance_time(T0 + 9999)
    assert correlator.restore([state_of(items[-1], EDITED)]) == []
