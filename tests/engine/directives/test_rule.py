"""Compiled rules: which events match, and which references they have."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.directives.condition import StageReference
from engine.directives.rule import CompiledRule, references_of
from tests.support.directives import ASSETS, EVENT, RULE

TAXONOMY = replace(
    RULE,
    type="TaxonomyRule",
    plugin_id=0,
    plugin_sid=(),
    product=("Firewall", "Proxy"),
    category="Access",
    subcategory=("Denied",),
)
TAXONOMY_EVENT = replace(EVENT, product="Proxy", category="Access", subcategory="Denied")


def matches(rule: Any, event: Any, *, match_protocol: bool = True) -> bool:
    compiled = CompiledRule(rule, match_protocol=match_protocol, narrowed=False)
    src, dst = ASSETS.address_info(event.src_ip), ASSETS.address_info(event.dst_ip)
    return compiled.matches(event, src, dst)


@pytest.mark.parametrize(
    ("fields", "matching"),
    [
        ({}, True),
        ({"plugin_id": 2}, False),
        ({"plugin_sid": (2, 3)}, False),
        ({"plugin_sid": (9, 8, 7, 6, 5, 1)}, True),
        ({"from_": "HOME_NET"}, False),
        ({"from_": "!HOME_NET", "to": "HOME_NET"}, True),
        ({"to": "10.0.0.0/24"}, True),
        ({"port_to": "443"}, False),
    ],
)
def test_a_plugin_rule(fields: dict[str, Any], matching: bool) -> None:
    assert matches(replace(RULE, **fields), EVENT) is matching


@pytest.mark.parametrize(
    ("fields", "matching"),
    [
        ({}, True),
        ({"category": "access"}, False),
        ({"product": ("Firewall",)}, False),
        ({"subcategory": ("Allowed",)}, False),
        ({"subcategory": ("ANY",)}, True),
        ({"subcategory": ()}, True),
    ],
)
def test_a_taxonomy_rule(fields: dict[str, Any], matching: bool) -> None:
    assert matches(replace(TAXONOMY, **fields), TAXONOMY_EVENT) is matching


def test_the_protocol_is_compared_only_if_the_option_says_so() -> None:
    rule, event = replace(RULE, protocol="UDP"), replace(EVENT, protocol="TCP")
    assert not matches(rule, event)
    assert matches(rule, event, match_protocol=False)


def test_references_are_bindings_and_match_by_themselves() -> None:
    rule = replace(RULE, stage=2, from_=":1", port_to=":1")
    assert references_of(rule, narrowed=False) == {
        "from_": StageReference(1, "src_ip"),
        "port_to": StageReference(1, "dst_port"),
    }
    assert matches(rule, EVENT)


def test_a_reference_to_its_own_or_a_later_stage_matches_nothing() -> None:
    """Lenient reading lets it pass, since Dsiem (Go) runs such a directive."""
    for text in (":2", ":3"):
        rule = replace(RULE, stage=2, from_=text, custom_data1=text)
        assert references_of(rule, narrowed=False) == {}
        assert not matches(rule, EVENT)
    rule = replace(RULE, stage=2, protocol=":2")
    assert matches(rule, EVENT, match_protocol=False)
    assert not matches(rule, EVENT)


def test_a_narrowed_rule_refers_to_its_own_addresses_where_they_are_open() -> None:
    rule = replace(RULE, from_="HOME_NET", to="10.0.0.5")
    assert references_of(rule, narrowed=True) == {"from_": StageReference(1, "src_ip")}
    assert references_of(rule, narrowed=False) == {}
