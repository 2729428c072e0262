"""A compiled directive: titles, reference slots, keys of stages."""

import pytest

from engine.correlation.compiled_directive import (
    UNBOUND,
    can_be_title,
    make_negated_predicate,
    make_stage_keys,
)
from tests.support.directives import ASSETS, compiled, event, rule


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Scan", "Scan"),
        ("Scan of DST_IP by SRC_IP", "Scan of server by 192.0.2.1"),
        ("100 % SRC_IP", "100 % 192.0.2.1"),
    ],
)
def test_tokens_of_a_title_become_names_or_addresses(name: str, title: str) -> None:
    directive, first = compiled(name=name), event(1)
    src, dst = ASSETS.address_info(first.src_ip), ASSETS.address_info(first.dst_ip)
    made = directive.title(first, src, dst) if directive.title_template else name
    assert made == title
    assert can_be_title(made, name)


@pytest.mark.parametrize("text", ["Scan by", "scan by 192.0.2.1"])
def test_other_titles_are_not_those_of_the_directive(text: str) -> None:
    assert not can_be_title(text, "Scan by SRC_IP")


def test_slots_are_in_the_order_of_their_stages() -> None:
    directive = compiled(rule(1), rule(2, to=":1"), rule(3, from_=":2", port_to=":1"))
    assert [(slot.stage, slot.field) for slot in directive.slots] == [
        (1, "dst_ip"),
        (1, "dst_port"),
        (2, "src_ip"),
    ]
    assert directive.first_event_values[0](event(1, dst_port=80)) == ("10.0.0.5", 80)


@pytest.mark.parametrize(
    ("condition", "value", "same"),
    [
        ({"from_": ":1"}, {"src_ip": "192.0.2.1"}, True),
        ({"from_": ":1"}, {"src_ip": "192.0.2.2"}, False),
        ({"custom_data1": ":1"}, {"custom_data1": " ADMIN "}, True),
        ({"from_": ":1", "custom_data1": ":1"}, {"custom_data1": "Admin"}, True),
        ({}, {"src_ip": "198.51.100.1"}, True),
        ({"from_": ":1.to"}, {"src_ip": "10.0.0.5"}, True),
        ({"from_": ":1.to", "to": ":1"}, {"src_ip": "10.0.0.5"}, True),
        ({"from_": ":1.to", "to": ":1"}, {"src_ip": "10.0.0.5", "dst_ip": "10.0.0.6"}, False),
        ({"custom_data2": ":1.port_to"}, {"custom_data2": " 22"}, True),
        ({"custom_data2": ":1.port_to"}, {"custom_data2": "2"}, False),
        ({"port_from": ":1.custom_data2"}, {"src_port": 80}, True),
        ({"from_": "!:1"}, {"src_ip": "192.0.2.1"}, True),
    ],
)
def test_the_keys_of_an_event_and_of_bound_values_are_equal_if_they_match(
    condition: dict[str, str], value: dict[str, str], same: bool
) -> None:
    directive = compiled(rule(1), rule(2, **condition))
    first = event(1, custom_data1="admin", custom_data2="80 ", dst_port=22)
    bound = directive.first_event_values[0](first)
    of_event, of_bound = make_stage_keys(directive.rules[1], directive.slots)
    assert (of_event(event(2, **value)) == of_bound(bound)) is same


def test_negated_references_are_met_by_other_values_but_not_without_one() -> None:
    directive = compiled(rule(1), rule(2, from_="!:1", custom_data1="!:1.to"))
    negated = make_negated_predicate(directive.rules[1], directive.slots)
    assert negated is not None
    assert list(directive.slots) == [(1, "dst_ip"), (1, "src_ip")]
    bound = ("10.0.0.5", "192.0.2.1")
    assert negated(event(2, src_ip="192.0.2.2"), bound)
    assert not negated(event(2, src_ip="192.0.2.1"), bound)
    assert not negated(event(2, src_ip="192.0.2.2", custom_data1=" 10.0.0.5"), bound)
    for unknown in ((UNBOUND, "192.0.2.1"), ("10.0.0.5", UNBOUND), ()):
        assert not negated(event(2, src_ip="192.0.2.2"), unknown)


def test_a_stage_without_negated_references_is_not_asked_about_them() -> None:
    directive = compiled(rule(1), rule(2, from_=":1", protocol="!:1"))
    assert make_negated_predicate(directive.rules[1], directive.slots) is None
