"""Pairing of alarms, and the differences that are found."""

from typing import Any

import msgspec
import pytest

from benchmarks.peers.alarm_comparison import (
    Alarm,
    AlarmComparison,
    Difference,
    _compare,
    show,
)
from benchmarks.peers.known_differences import KNOWN_DIFFERENCES, known_reason
from benchmarks.peers.scenarios import SCENARIOS

NUMBERS = {scenario.name: number for number, scenario in enumerate(SCENARIOS, 1)}
KNOWN = "both types of rule"
"""A scenario for which Dsiem has a known difference in the events."""


def alarm(scenario: str, *stages: str, **more: Any) -> Alarm:
    """An alarm with these numbers of events for each stage."""
    number = NUMBERS[scenario]
    events = {
        stage: [f"{number:02}-0-{event}" for event in numbers.split()]
        for stage, numbers in enumerate(stages, 1)
    }
    line = {"title": "t", "risk": 3, "risk_class": "Medium", "rules": [{"stage": 1}]}
    return Alarm(events, line | {"src_ips": [], "dst_ips": []} | more)


def differences(ours: list[Alarm], theirs: list[Alarm]) -> list[tuple[str, bool]]:
    """Field of each difference, and whether it is explained."""
    comparison = _compare("go", ours, theirs)
    return [(found.field, found.reason is not None) for found in comparison.differences]


def test_equal_alarms_have_no_differences_in_any_order() -> None:
    ours = [alarm("references", "00", "01 02"), alarm("ports", "01", "03")]
    comparison = _compare("go", ours, ours[::-1])
    assert (comparison.ours, comparison.theirs, comparison.same) == (2, 2, 2)
    assert comparison.differences == []


def test_a_different_risk_is_a_difference_of_the_pair_with_the_same_events() -> None:
    ours, theirs = alarm("references", "00", "01"), alarm("references", "00", "01", risk=4)
    comparison = _compare("go", [ours], [theirs])
    (found,) = comparison.differences
    assert (found.field, found.ours, found.theirs) == ("risk", "3 Medium", "4 Medium")
    assert comparison.same == 0
    assert comparison.unexplained == [found]


def test_alarms_with_other_events_are_paired_by_their_opening_event() -> None:
    ours, theirs = alarm(KNOWN, "00", "01 03"), alarm(KNOWN, "00", "01")
    assert differences([ours], [theirs]) == [("events", True)]
    assert differences([alarm("ports", "00", "01")], [alarm("ports", "00")]) == [("events", False)]


def test_an_alarm_of_one_backend_only_is_one_difference() -> None:
    assert differences([alarm("references", "00")], []) == [("events", False)]
    assert differences([], [alarm("references", "00")]) == [("events", False)]


def test_known_differences_name_scenarios_that_exist() -> None:
    assert {known.scenario for known in KNOWN_DIFFERENCES} - {None} <= NUMBERS.keys()


def test_a_difference_is_known_of_the_peers_that_have_it_only() -> None:
    assert known_reason("go", "both types of rule", "events")
    assert known_reason("dsiem-rs", "both types of rule", "events") is None
    assert known_reason("go", "both types of rule", "risk") is None
    assert known_reason("rust", "references", "title")
    assert known_reason("dsiem-rs", "references", "title") is None


def test_unexplained_differences_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    found = Difference("ports", "18-0-00", "risk", "3", "4", None)
    show([AlarmComparison("go", 2, 3, 1, [found])])
    printed = capsys.readouterr().out
    assert "go, ports, 18-0-00, risk: UNEXPLAINED" in printed
    assert printed.count("3") >= 2


def test_the_file_has_the_names_that_it_always_had() -> None:
    found = Difference("ports", "18-0-00", "risk", "3", "4", None)
    document = msgspec.to_builtins(AlarmComparison("go", 2, 3, 1, [found]))
    assert document["contender"] == "go"
    assert document["differences"][0]["opening"] == "18-0-00"
