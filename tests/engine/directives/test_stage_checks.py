"""What absent stages, and stages in any order, exclude."""

import json
from typing import Any

import pytest

from engine.directives.directive import check_directive, parse_directives
from engine.errors import Finding

Json = dict[str, Any]
NO_ABSENT = "must be one that is not absent: an absent stage is finished without events"
ONLY_1 = "must be :1, since any_order is true: others may have no event yet"


def rule(stage: int, **more: Any) -> Json:
    return {
        "name": "r",
        "type": "PluginRule",
        "stage": stage,
        "plugin_id": 1,
        "plugin_sid": [stage],
        "occurrence": 1,
        "from": "ANY",
        "to": "ANY",
        "reliability": 1,
        "timeout": 60,
        **more,
    }


def faults_of(*rules: Json, **more: Any) -> list[Finding]:
    names = {"id": 1, "name": "d", "kingdom": "k", "category": "c", "priority": 1}
    document = {"directives": [{**names, "rules": rules, **more}]}
    [parsed] = parse_directives(json.dumps(document).encode())
    assert (parsed.directive is None) == bool(parsed.findings)
    if parsed.directive is not None:
        assert check_directive(parsed.directive) == (parsed.directive, [])
    return parsed.findings


def test_absent_stages_and_any_order_are_valid_together() -> None:
    rules = rule(1), rule(2, absent=True), rule(3, to=":1")
    assert faults_of(*rules, any_order=True) == faults_of(*rules) == []


@pytest.mark.parametrize(
    ("rules", "more", "code", "path", "message"),
    [
        (
            (rule(1, absent=True), rule(2)),
            {},
            "bad-combination",
            (0, "absent"),
            "is true, must be false for stage 1: its event opens the backlog",
        ),
        (
            (rule(1), rule(2, absent=True, timeout=0)),
            {},
            "out-of-range",
            (1, "timeout"),
            "is 0, must be 1 or more where absent is true: when it is over, the stage is finished",
        ),
        (
            (rule(1), rule(2, absent=True)),
            {"all_rules_always_active": True},
            "bad-combination",
            (1, "absent"),
            "is true, must be false with all_rules_always_active",
        ),
        (
            (rule(1), rule(2, absent=True), rule(3, port_to=":2")),
            {},
            "bad-reference",
            (2, "port_to"),
            f"is a reference to stage 2 in stage 3, {NO_ABSENT}",
        ),
        (
            (rule(1), rule(2), rule(3, custom_data1=":2")),
            {"any_order": True},
            "bad-reference",
            (2, "custom_data1"),
            f"is a reference to stage 2 in stage 3, {ONLY_1}",
        ),
    ],
)
def test_what_excludes_each_other_is_one_fault(
    rules: tuple[Json, ...], more: Json, code: str, path: tuple[int, str], message: str
) -> None:
    [fault] = faults_of(*rules, **more)
    assert (fault.code, fault.path, fault.message) == (
        code,
        ("directives", 0, "rules", *path),
        message,
    )
    assert (fault.directive, fault.field) == (1, path[1])


@pytest.mark.parametrize(
    ("rules", "more"),
    [((rule(1),), {}), ((rule(1), rule(2)), {"all_rules_always_active": True})],
)
def test_any_order_needs_two_rules_and_none_that_are_always_active(
    rules: tuple[Json, ...], more: Json
) -> None:
    [fault] = faults_of(*rules, any_order=True, **more)
    assert (fault.code, fault.path) == ("bad-combination", ("directives", 0, "any_order"))


def test_faults_of_other_kinds_are_found_as_well() -> None:
    """What is wrong by itself is not looked at together with others."""
    rules: list[Any] = [rule(1), rule(2, absent="yes", to="nowhere"), {"stage": "x"}, 7]
    codes = [fault.code for fault in faults_of(*rules, any_order="no")]
    assert "wrong-type" in codes
    assert "bad-condition" in codes
    assert "bad-combination" not in codes
