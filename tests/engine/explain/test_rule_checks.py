"""Which condition of a rule refuses an event, and what it wanted: field by field."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.alarm import RuleRecord
from engine.correlation.compiled_directive import UNBOUND, BoundValues
from engine.event import NormalizedEvent
from engine.explain.rule_checks import MAX_TEXT, RuleChecks
from engine.explain.verdict import Refusal
from engine.options import Options
from tests.support.directives import ASSETS, compiled, event, rule

TAXONOMY: dict[str, Any] = {
    "type": "TaxonomyRule",
    "plugin_id": 0,
    "category": "Deny",
    "product": ("Firewall", "Proxy"),
}


def refusal(
    record: RuleRecord,
    of: NormalizedEvent,
    bound: BoundValues | None = None,
    *,
    match_protocol: bool = False,
    **directive: Any,
) -> Refusal | None:
    """What the last stage of a directive, `record`, makes of an event."""
    first = [rule(stage) for stage in range(1, record.stage)]
    made = compiled(*first, record, options=Options(match_protocol=match_protocol), **directive)
    checks = RuleChecks(made.rules[-1], made)
    src, dst = ASSETS.address_info(of.src_ip), ASSETS.address_info(of.dst_ip)
    return checks.refusal(of, checks.own_result(of, src, dst), bound)


@pytest.mark.parametrize(
    ("conditions", "fields", "expected"),
    [
        ({}, {"plugin_id": 2}, ("plugin_id", "1", "2", 1, 2)),
        ({}, {"plugin_sid": 9}, ("plugin_sid", "1", "9", 1, 2)),
        ({}, {"plugin_id": 2, "plugin_sid": 9}, ("plugin_id", "1", "2", 0, 2)),
        (
            {"from_": "192.0.2.0/24"},
            {"src_ip": "10.0.0.1"},
            ("from", "192.0.2.0/24", "10.0.0.1", 2, 3),
        ),
        ({"from_": "HOME_NET"}, {"src_ip": "192.0.2.1"}, ("from", "HOME_NET", "192.0.2.1", 2, 3)),
        ({"to": "!HOME_NET"}, {"dst_ip": "10.0.0.5"}, ("to", "!HOME_NET", "10.0.0.5", 2, 3)),
        ({"port_from": "53"}, {"src_port": 80}, ("port_from", "53", "80", 2, 3)),
        ({"port_to": "22, 23"}, {}, ("port_to", "22, 23", "0", 2, 3)),
        ({"custom_data1": "root"}, {"custom_data1": "eve"}, ("custom_data1", "root", "eve", 2, 3)),
        ({"custom_data2": "a,b"}, {}, ("custom_data2", "a,b", "", 2, 3)),
        ({"custom_data3": "!x"}, {"custom_data3": "X"}, ("custom_data3", "!x", "X", 2, 3)),
        # The first one of several is named, and all are counted.
        (
            {"from_": "192.0.2.1", "to": "192.0.2.2", "port_to": "22"},
            {"src_ip": "192.0.2.1", "dst_ip": "10.0.0.5", "dst_port": 23},
            ("to", "192.0.2.2", "10.0.0.5", 3, 5),
        ),
    ],
)
def test_the_first_condition_that_is_not_met_is_named(
    conditions: dict[str, Any], fields: dict[str, Any], expected: tuple[str, str, str, int, int]
) -> None:
    field, text, got, met, number = expected
    found = refusal(rule(1, **conditions), replace(event(1), **fields))
    assert found == Refusal(field, text, text, got, met, number)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"category": "Allow"}, ("category", "Deny", "Allow")),
        ({"product": "Router"}, ("product", "Firewall, Proxy", "Router")),
        ({"subcategory": "x"}, ("subcategory", "TCP", "x")),
        ({}, ("subcategory", "TCP", "")),
    ],
)
def test_taxonomy_is_named_by_its_field(
    fields: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    of = replace(event(0), **{"category": "Deny", "product": "Proxy"} | fields)
    found = refusal(rule(1, **TAXONOMY, subcategory=("TCP",)), of)
    assert found is not None
    assert (found.field, found.wants, found.got) == expected
    any_of_them = rule(1, **TAXONOMY, subcategory=("TCP", "ANY"))
    if expected[0] == "subcategory":
        assert refusal(any_of_them, of) is None


@pytest.mark.parametrize(
    ("match_protocol", "expected"),
    [(False, None), (True, Refusal("protocol", "UDP", "UDP", "TCP", 2, 3))],
)
def test_protocol_counts_only_where_it_is_matched(
    *, match_protocol: bool, expected: Refusal | None
) -> None:
    of = replace(event(1), protocol="TCP")
    assert refusal(rule(1, protocol="UDP"), of, match_protocol=match_protocol) == expected


def test_a_reference_to_the_protocol_counts_only_where_it_is_matched() -> None:
    of, record = replace(event(2), protocol="TCP"), rule(2, protocol=":1")
    assert refusal(record, of, ("UDP",)) is None
    found = refusal(record, of, ("UDP",), match_protocol=True)
    assert found == Refusal("protocol", ":1", "UDP", "TCP", 2, 3)
    assert refusal(record, of, (" tcp",), match_protocol=True) is None


@pytest.mark.parametrize(
    ("condition", "bound", "fields", "expected"),
    [
        ({"from_": ":1"}, "192.0.2.1", {"src_ip": "192.0.2.2"}, ("from", "192.0.2.1", "192.0.2.2")),
        ({"to": ":1"}, "192.0.2.1", {"dst_ip": "192.0.2.2"}, ("to", "192.0.2.1", "192.0.2.2")),
        ({"port_from": ":1"}, 80, {"src_port": 81}, ("port_from", "80", "81")),
        ({"port_to": ":1"}, 80, {}, ("port_to", "80", "0")),
        ({"custom_data1": ":1"}, "a", {"custom_data1": "b"}, ("custom_data1", "a", "b")),
        ({"custom_data2": ":1"}, "", {"custom_data2": "b"}, ("custom_data2", "", "b")),
        ({"custom_data3": ":1"}, "a", {}, ("custom_data3", "a", "")),
    ],
)
def test_references_want_the_value_that_they_stand_for(
    condition: dict[str, str], bound: Any, fields: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    field, wants, got = expected
    of, record = replace(event(2), **fields), rule(2, **condition)
    assert refusal(record, of, (bound,)) == Refusal(field, ":1", wants, got, 2, 3)
    assert refusal(record, of) is None, "to open a backlog, references do not matter"


def test_a_reference_to_another_field_wants_its_value() -> None:
    found = refusal(rule(2, from_=":1.to"), event(2), ("10.0.0.5",))
    assert found == Refusal("from", ":1.to", "10.0.0.5", "192.0.2.1", 2, 3)


def test_a_negated_reference_wants_any_other_value() -> None:
    record = rule(2, from_="!:1")
    assert refusal(record, event(2), ("192.0.2.9",)) is None
    found = refusal(record, event(2), ("192.0.2.1",))
    assert found == Refusal("from", "!:1", "!192.0.2.1", "192.0.2.1", 2, 3)


def test_references_to_texts_compare_without_case_and_outer_blanks() -> None:
    of = replace(event(2), custom_data1=" Root ")
    assert refusal(rule(2, custom_data1=":1"), of, ("rOOT",)) is None


@pytest.mark.parametrize("bound", [(UNBOUND,), ()], ids=["not restored", "not reached"])
@pytest.mark.parametrize("text", [":1", "!:1"])
def test_a_reference_whose_value_is_not_known_says_so(bound: BoundValues, text: str) -> None:
    found = refusal(rule(2, from_=text), event(2), bound)
    assert found is not None
    assert found.wants == "the value of stage 1, which is not known"


def test_a_reference_that_lenient_reading_left_unresolvable_says_so() -> None:
    found = refusal(rule(2, port_to=":3"), replace(event(2), dst_port=80), ())
    wants = "the value of stage 3, which is not an earlier one"
    assert found == Refusal("port_to", ":3", wants, "80", 2, 3)


def test_all_rules_always_active_wants_the_addresses_of_the_opening_event_at_stage_1() -> None:
    of = replace(event(1), src_ip="192.0.2.2", dst_ip="10.0.0.5")
    found = refusal(rule(1), of, ("10.0.0.5", "192.0.2.1"), always_active=True)
    assert found == Refusal("from", "ANY", "192.0.2.1", "192.0.2.2", 3, 4)
    assert refusal(rule(1), of, always_active=True) is None


def test_long_texts_are_cut() -> None:
    long = "\U0001f600" * 3000
    of = replace(event(1), custom_data1=long, plugin_sid=5)
    found = refusal(replace(rule(1, custom_data1=f"x{long}"), plugin_sid=(5,)), of)
    assert found is not None
    assert len(found.rule) == len(found.wants) == len(found.got) == MAX_TEXT
    assert found.got.endswith("…")
    many = replace(rule(1), plugin_sid=tuple(range(10, 100_000)))
    found = refusal(many, event(1))
    assert found is not None
    assert found.wants.startswith("10, 11, ")
    assert len(found.wants) == MAX_TEXT
