"""Lints of a directive by itself: what is reported, and what is not since it is not certain."""

from typing import Any

import msgspec
import pytest

from engine.directives.directive import ParsedDirective, parse_directives
from engine.directives.lints import directive_lints
from engine.errors import Finding

Rule = dict[str, Any]


def rule(stage: int, **changes: Any) -> Rule:
    """A rule that has no lint; `from_` is `from`."""
    fields = {
        "name": "r",
        "type": "PluginRule",
        "stage": stage,
        "occurrence": 1,
        "plugin_id": 1,
        "plugin_sid": [1, 2],
        "from": ":1" if stage > 1 else "ANY",
        "to": "HOME_NET",
        "reliability": 5,
        "timeout": 60,
    }
    return fields | {name.rstrip("_"): value for name, value in changes.items()}


def parsed(*rules: Rule, **fields: Any) -> ParsedDirective:
    """A directive of these rules, in this order in its document."""
    document = {"id": 7, "name": "d", "kingdom": "k", "category": "c", "priority": 3}
    document |= {"rules": rules, **fields}
    [one] = parse_directives(msgspec.json.encode({"directives": [document]}))
    assert one.directive is not None, one.findings
    return one


def lints(*rules: Rule) -> list[Finding]:
    return list(directive_lints(parsed(*rules)))


def codes(*rules: Rule) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.stage) for finding in lints(*rules)]


def test_a_lint_is_a_warning_with_its_place_in_the_document() -> None:
    [finding] = lints(rule(2), rule(1, to="ANY"))
    assert (finding.severity, finding.warning) == ("lint", True)
    assert (finding.directive, finding.stage, finding.field) == (7, 1, "from")
    assert finding.path == ("directives", 0, "rules", 1, "from")
    assert finding.message == (
        "is ANY, and so is to: every event of this plugin_sid opens a backlog, "
        "even between addresses of no asset"
    )


def test_a_faulty_directive_has_no_lints() -> None:
    [one] = parse_directives(b'{"directives": [{"id": 7}]}')
    assert list(directive_lints(one)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "HOME_NET"},
        {"to": "ANY", "from_": "!HOME_NET"},
        {"to": "ANY", "port_to": "22"},
        {"to": "ANY", "custom_data2": "!x"},
        {"to": "0.0.0.0/0"},
    ],
    ids=str,
)
def test_a_first_rule_with_any_condition_is_not_open(changes: Rule) -> None:
    assert codes(rule(1, **changes), rule(2)) == []


def test_only_the_first_rule_opens_backlogs() -> None:
    assert codes(rule(1), rule(2, from_=":1", to="ANY"), rule(3, to="ANY", from_=":1")) == []


def test_an_open_first_rule_of_a_taxonomy() -> None:
    taxonomy = {"type": "TaxonomyRule", "product": ["p"], "category": "c", "port_from": " ANY "}
    [finding] = lints(rule(1, to=" ANY ", custom_data1="", **taxonomy), rule(2))
    assert "of this category opens" in finding.message


def test_a_stage_without_a_reference_after_one_with() -> None:
    [finding] = lints(rule(1), rule(2, port_to=":1", from_="ANY"), rule(3, from_="ANY"), rule(4))
    assert (finding.code, finding.stage, finding.field) == ("no-reference", 3, "")
    assert finding.path == ("directives", 0, "rules", 2)
    assert finding.message == (
        "has no reference to an earlier stage, unlike stage 2: one event is taken by every "
        "backlog that is at this stage"
    )


@pytest.mark.parametrize("name", ["from_", "to", "port_from", "port_to", "custom_data3"])
def test_a_reference_in_any_condition_connects(name: str) -> None:
    open_: Rule = {"from_": "ANY"}
    assert codes(rule(1), rule(2), rule(3, **open_ | {name: ":2"})) == []


def test_a_negated_reference_does_not_connect_and_one_to_another_field_does() -> None:
    assert codes(rule(1), rule(2), rule(3, from_="!:2")) == [("no-reference", 3)]
    assert codes(rule(1), rule(2, from_="!:1"), rule(3, from_="ANY")) == []
    assert codes(rule(1), rule(2), rule(3, from_=":2.to")) == []


def test_a_reference_in_the_protocol_does_not_connect() -> None:
    assert codes(rule(1), rule(2), rule(3, from_="ANY", protocol=":1")) == [("no-reference", 3)]
    assert codes(rule(1), rule(2, from_="ANY", protocol=":1"), rule(3, from_="ANY")) == []


def test_stages_that_are_never_connected_are_wanted_so() -> None:
    assert codes(rule(1), rule(2, from_="ANY"), rule(3, from_="HOME_NET")) == []
    assert codes(rule(1), rule(2, from_="::1"), rule(3, from_="::2")) == []


@pytest.mark.parametrize(
    "text",
    [
        "!0.0.0.0/0, !::/0",
        "!::/0 !10.0.0.0/8 !0.0.0.0/0",
        "!0.0.0.0/1, !128.0.0.0/1, !::/0",
        "!::/1 !8000::/1 !0.0.0.0/0 10.0.0.1",
    ],
)
def test_a_list_that_excludes_all_addresses(text: str) -> None:
    [finding] = lints(rule(1), rule(2, to=text))
    assert (finding.code, finding.stage, finding.field) == ("never-matches", 2, "to")
    assert finding.message == "excludes all addresses: no event can match"


@pytest.mark.parametrize(
    "text",
    [
        "!0.0.0.0/0",
        "!::/0",
        "10.0.0.1, !0.0.0.0/0, !::/0",
        "!0.0.0.0/1, !128.0.0.0/2, !::/0",
        "!HOME_NET",
        "!10.0.0.0/8",
    ],
)
def test_a_list_that_leaves_an_address(text: str) -> None:
    assert codes(rule(1), rule(2, to=text)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"sticky_different": "SRC_IP"},
        {"sticky_different": "DST_IP", "to": "10.0.0.1, 10.0.0.1"},
        {"sticky_different": "DST_PORT", "port_to": "22"},
        {"sticky_different": "SRC_PORT", "port_from": ":1"},
        {"sticky_different": "PLUGIN_SID", "plugin_sid": [4, 4]},
        {"sticky_different": "CUSTOM_DATA1", "custom_data1": "root,"},
        {"sticky_different": "CUSTOM_DATA2", "custom_data2": ":1", "occurrence": 9},
        {"sticky_different": "CUSTOM_DATA3", "custom_data3": "root"},
    ],
    ids=str,
)
def test_sticky_different_of_a_fixed_field(changes: Rule) -> None:
    [finding] = lints(rule(1), rule(2, **changes))
    assert (finding.code, finding.field) == ("one-value", "sticky_different")
    assert finding.message.startswith(f"is {changes['sticky_different']}, and ")
    assert finding.message.endswith(": there is nothing to count")


@pytest.mark.parametrize(
    "changes",
    [
        {"sticky_different": ""},
        {"sticky_different": "SRC_IP", "occurrence": 2},  # the warning never-finishes
        {"sticky_different": "SRC_IP", "from_": "!10.0.0.1", "port_to": ":1"},
        {"sticky_different": "SRC_IP", "from_": "10.0.0.0/31", "port_to": ":1"},
        {"sticky_different": "SRC_IP", "from_": "!:1", "port_to": ":1"},
        {"sticky_different": "CUSTOM_DATA1", "custom_data1": "!:1"},
        {"sticky_different": ["DST_IP", "DST_PORT"]},
        {"sticky_different": "DST_IP"},
        {"sticky_different": "DST_PORT", "port_to": "22, 23"},
        {"sticky_different": "PLUGIN_SID"},
        {"sticky_different": "PLUGIN_SID", "type": "TaxonomyRule", "product": ["p"],
         "category": "c", "plugin_sid": [1]},
        {"sticky_different": "CUSTOM_DATA1"},
        {"sticky_different": "CUSTOM_DATA1", "custom_data1": " ANY "},
        {"sticky_different": "CUSTOM_DATA1", "custom_data1": "!root"},
        {"sticky_different": "CUSTOM_DATA1", "custom_data1": "a, b"},
    ],
    ids=str,
)  # fmt: skip
def test_sticky_different_of_a_field_with_several_values(changes: Rule) -> None:
    assert codes(rule(1), rule(2, **changes)) == []


def test_each_name_of_several_in_sticky_different_is_looked_at() -> None:
    several = ["DST_PORT", "SRC_IP", "CUSTOM_DATA1"]
    found = lints(rule(1), rule(2, sticky_different=several, custom_data1="x"))
    assert [finding.message.split(",")[0] for finding in found] == ["is SRC_IP", "is CUSTOM_DATA1"]


@pytest.mark.parametrize("text", ["", "ANY", "x", ":1", "a\\*"])
def test_wildcards_without_any(text: str) -> None:
    one = parsed(rule(1), rule(2, custom_data2=text), wildcards=True)
    [finding] = directive_lints(one)
    assert (finding.code, finding.path) == ("no-wildcard", ("directives", 0, "wildcards"))


@pytest.mark.parametrize("text", ["x*", "a, b?", "!?"])
def test_wildcards_in_any_text(text: str) -> None:
    sticky = {"sticky_different": "CUSTOM_DATA3", "custom_data3": text}
    assert directive_lints(parsed(rule(1), rule(2, **sticky), wildcards=True)) == []
    assert directive_lints(parsed(rule(1), rule(2, protocol=text), wildcards=True)) == []
    assert directive_lints(parsed(rule(1), rule(2, custom_data3=text))) == []
