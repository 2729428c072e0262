"""The rules of a saved alarm: references restored from the values printed in their place."""

import pytest
from msgspec.structs import replace

from engine.alarm import RuleRecord
from engine.correlation.snapshot import UnusableBacklogError
from engine.dsiem_format.saved_rules import bound_values, restore_rules
from tests.support.directives import directive, rule

DIRECTIVE = directive(rule(1), rule(2, from_=":1", port_to=":1"))


def printed(**second: str) -> tuple[RuleRecord, ...]:
    first, own = DIRECTIVE.rules
    texts = {"from_": "192.0.2.1", "port_to": "22"} | second
    return (
        replace(first, status="finished", start_time=5, end_time=6),
        replace(own, **texts, start_time=6),
    )


def test_values_become_the_references_of_the_directive() -> None:
    rules = restore_rules(printed(), DIRECTIVE)
    assert rules is DIRECTIVE.rules


def test_an_edited_rule_keeps_what_the_alarm_has() -> None:
    first, second = restore_rules(printed(to="10.0.0.5"), DIRECTIVE)
    assert first == DIRECTIVE.rules[0]
    assert second == replace(DIRECTIVE.rules[1], to="10.0.0.5")


@pytest.mark.parametrize("own", ["!:1", ":1.to", "!:1.to"])
def test_a_value_is_not_taken_for_a_reference_that_dsiem_backend_does_not_have(own: str) -> None:
    """The directive was edited since: its backlog goes on with the address that it was bound to."""
    edited = directive(rule(1), rule(2, from_=own, port_to=":1"))
    _, second = restore_rules(printed(), edited)
    assert (second.from_, second.port_to) == ("192.0.2.1", ":1")
    found = bound_values(printed(), edited.rules, {"src_ip": "::1", "dst_ip": "::1"}, edited)
    assert list(found) == [(1, "dst_port", 22)]


def test_invalid_rules_are_unusable() -> None:
    with pytest.raises(UnusableBacklogError):
        restore_rules(printed(to="nowhere"), DIRECTIVE)


@pytest.mark.parametrize(
    ("second", "only", "expected"),
    [
        ({}, {}, [(1, "dst_port", 22), (1, "src_ip", "192.0.2.1")]),
        ({"port_to": ":1"}, {}, [(1, "src_ip", "192.0.2.1")]),
        ({"port_to": "99999"}, {}, [(1, "src_ip", "192.0.2.1")]),
        (
            {"from_": ":1", "port_to": "0"},
            {"src_ip": "::1"},
            [(1, "dst_port", 0), (1, "src_ip", "::1")],
        ),
    ],
)
def test_the_values_of_references(
    second: dict[str, str],
    only: dict[str, str],
    expected: list[tuple[int, str, object]],
) -> None:
    found = bound_values(printed(**second), DIRECTIVE.rules, only, DIRECTIVE)
    assert list(found) == expected
