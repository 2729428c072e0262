"""Rules: each attribute, what is changed with a warning, and what cannot be expressed."""

from pathlib import Path
from typing import Any

import pytest

from shards.ossim.attributes import MAX_UNKNOWN
from shards.ossim.conditions import MAX_TEXT
from shards.ossim.rules import NO_TIME_OUT
from tests.support.ossim import Json, convert, directive, rule


def second(folder: Path, first: Json | None = None, /, **attributes: Any) -> tuple[Json, list[str]]:
    """The second rule of a directive, with these attributes, and the problems."""
    root = rule(rule(**attributes), **first or {})
    found = convert(directive(root), folder)
    return (found.directives[0]["rules"][1] if found.directives else {}), found.problems


def test_a_plugin_rule(tmp_path: Path) -> None:
    given: Json = {"plugin_id": 4003, "plugin_sid": "1, 2,2,3", "occurrence": 5, "reliability": 6}
    given |= {"from": "1:SRC_IP", "to": "HOME_NET", "port_to": "22", "userdata2": "root"}
    values, problems = second(tmp_path, name="Again", sticky_different="DST_IP", **given)
    assert problems == []
    assert values == {
        "name": "Again",
        "stage": 2,
        "type": "PluginRule",
        "plugin_id": 4003,
        "plugin_sid": [1, 2, 3],
        "occurrence": 5,
        "from": ":1",
        "to": "HOME_NET",
        "port_from": "ANY",
        "port_to": "22",
        "custom_data2": "root",
        "sticky_different": "DST_IP",
        "reliability": 6,
        "timeout": 60,
    }


def test_a_taxonomy_rule(tmp_path: Path) -> None:
    given: Json = {"product": "5,10", "category": "3", "subcategory": "30,31"}
    values, problems = second(tmp_path, **given)
    assert [values[name] for name in given] == [["5", "10"], "3", ["30", "31"]]
    assert values["type"] == "TaxonomyRule"
    [problem] = problems
    assert "warning taxonomy-numbers 2 category: product, category and" in problem
    named: Json = {"product": "Firewall", "category": "Packet", "subcategory": "ANY"}
    values, problems = second(tmp_path, **named)
    assert "subcategory" not in values
    assert problems == []


def test_references_to_the_plugin_of_an_earlier_rule(tmp_path: Path) -> None:
    given: Json = {"plugin_id": "1:PLUGIN_ID", "plugin_sid": "1:PLUGIN_SID"}
    values, problems = second(tmp_path, {"plugin_id": 9, "plugin_sid": "4"}, **given)
    assert (values["plugin_id"], values["plugin_sid"], problems) == (9, [4], [])


@pytest.mark.parametrize(
    ("reliability", "wanted", "warnings"),
    [("+2", 5, 0), ("7", 7, 0), ("+9", 10, 1), ("11", 10, 1), ("+0", 3, 0), ("", 1, 1)],
)
def test_reliability(tmp_path: Path, reliability: str, wanted: int, warnings: int) -> None:
    values, problems = second(tmp_path, {"reliability": "+3"}, reliability=reliability)
    assert values["reliability"] == wanted
    assert len(problems) == warnings
    assert all(" 2 reliability: " in problem for problem in problems)


@pytest.mark.parametrize("time_out", ["", "0", "None"])
def test_no_time_out(tmp_path: Path, time_out: str) -> None:
    values, [problem] = second(tmp_path, time_out=time_out)
    assert values["timeout"] == NO_TIME_OUT
    assert "warning no-timeout 2 time_out: is absent or 0, which is no limit in OSSIM" in problem


def test_the_first_rule_needs_no_time_out_and_occurs_once(tmp_path: Path) -> None:
    root = rule(rule(**{"from": "1:SRC_IP"}), occurrence=5, time_out="")
    found = convert(directive(root), tmp_path)
    first = found.directives[0]["rules"][0]
    assert (first["occurrence"], first["timeout"]) == (1, 0)
    [problem] = found.problems
    assert "warning first-occurrence 1 occurrence: is 5 in the first rule, taken as 1" in problem


@pytest.mark.parametrize(
    ("attributes", "warning"),
    [
        ({"occurrence": 0}, "out-of-range 2 occurrence: is 0, taken as 1"),
        ({"sticky_different": "FOO", "occurrence": 2}, 'is the text "FOO", which is no field'),
        (
            {"userdata1": "a,b"},
            "case 2 userdata1: is a list, which is compared with regard to case",
        ),
        ({"protocol": "TCP"}, "protocol 2 protocol: protocols are compared only with --match-"),
        ({"timeout": 5}, "unknown-attribute 2 timeout: is unknown and ignored; is time_out meant?"),
        ({"x" * 100: 5}, f"unknown-attribute 2 {'x' * 63}…: is unknown"),
        # What the reader of directives finds in the result.
        (
            {"sticky_different": "DST_IP", "occurrence": 2, "to": "10.0.0.1"},
            "never-finishes 2 sticky_different: is DST_IP",
        ),
    ],
)
def test_warnings(tmp_path: Path, attributes: Json, warning: str) -> None:
    values, [problem] = second(tmp_path, **attributes)
    assert values
    assert " warning " in problem
    assert warning in problem


@pytest.mark.parametrize(
    "attributes",
    [
        {"sticky": "true", "rel_abs": "x", "priority": 3, "absolute": "true", "interval": 5},
        {"sticky_different": "SENSOR", "occurrence": 1},
        {"sticky_different": "none", "occurrence": 2},
        {"sensor": "ANY", "username": "any", "not": "false", "from_rep": "false", "entity": ""},
        {"product": "ANY", "category": "", "plugin_id": 1, "plugin_sid": 1},
    ],
)
def test_what_has_no_effect_is_left_out_without_a_word(tmp_path: Path, attributes: Json) -> None:
    values, problems = second(tmp_path, **attributes)
    assert problems == []
    assert values["type"] == "PluginRule"
    assert "sticky_different" not in values


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"type": "monitor"}, "monitor-rule 2 type: is monitor"),
        ({"type": ""}, "bad-type 2 type: "),
        ({"not": "true"}, "no-such-condition 2 not: "),
        ({"username": "root"}, "no-such-condition 2 username: "),
        ({"userdata4": "x"}, "no-such-condition 2 userdata4: "),
        ({"sensor": "10.0.0.1"}, "no-such-condition 2 sensor: "),
        ({"to_rep_min_pri": "3"}, "no-such-condition 2 to_rep_min_pri: "),
        ({"timetable": "nights"}, "no-such-condition 2 timetable: "),
        ({"plugin_id": 1, "plugin_sid": "ANY"}, "any-event 2 plugin_sid: is ANY"),
        ({"plugin_id": 1}, "any-event 2 plugin_sid: is ANY"),
        ({"plugin_sid": 1}, "any-event 2 plugin_id: is ANY"),
        ({"plugin_id": "1,2", "plugin_sid": 1}, "several-plugins 2 plugin_id: has 2 plugins"),
        ({"plugin_id": 1, "plugin_sid": "!1"}, 'negated-number 2 plugin_sid: has the text "!1"'),
        ({"plugin_id": 1, "plugin_sid": "x"}, "bad-number 2 plugin_sid: "),
        ({"plugin_id": 1, "plugin_sid": "0"}, "bad-number 2 plugin_sid: "),
        ({"plugin_id": 1, "plugin_sid": "9" * 5000}, "bad-number 2 plugin_sid: "),
        ({"plugin_id": 1, "plugin_sid": "2:PLUGIN_SID"}, "bad-reference 2 plugin_sid: "),
        ({"plugin_id": 1, "plugin_sid": "1:SRC_PORT"}, "bad-number 2 plugin_sid: "),
        ({"plugin_id": 1, "plugin_sid": 1, "category": 2}, "plugin-and-taxonomy 2 category: "),
        ({"product": 1, "category": "1,2"}, "several-categories 2 category: has 2 categories"),
        ({"product": "a"}, "any-event 2 category: "),
        ({"category": "a"}, "any-event 2 product: "),
        ({"product": "!a", "category": "b"}, "bad-taxonomy 2 product: "),
        ({"product": "a", "category": "1:CATEGORY"}, "bad-taxonomy 2 category: "),
        ({"sticky_different": "USERDATA4", "occurrence": 2}, "sticky-field 2 sticky_different: "),
        ({"occurrence": "many"}, "bad-number 2 occurrence: "),
        ({"occurrence": "-1"}, "bad-number 2 occurrence: "),
        ({"occurrence": "²"}, "bad-number 2 occurrence: "),
        ({"reliability": "high"}, "bad-number 2 reliability: "),
        ({"reliability": "++1"}, "bad-number 2 reliability: "),
        ({"time_out": "1h"}, "bad-number 2 time_out: "),
        ({"from": "1:SENSOR"}, "other-field 2 from: "),
        ({"from": "1:DST_PORT"}, "other-field 2 from: is the text "),
        (
            {"sticky_different": "SRC_IP,SENSOR", "occurrence": 2},
            "sticky-field 2 sticky_different: ",
        ),
        ({"userdata1": "x" * (MAX_TEXT + 1)}, "too-long 2 userdata1: is longer than 65,536"),
    ],
)
def test_what_cannot_be_expressed(tmp_path: Path, attributes: Json, error: str) -> None:
    values, problems = second(tmp_path, **attributes)
    assert not values
    assert any(f" error {error}" in problem for problem in problems)


def test_unknown_attributes_are_bounded_and_the_others_counted(tmp_path: Path) -> None:
    for number in (MAX_UNKNOWN, MAX_UNKNOWN + 7):
        values, problems = second(tmp_path, **{f"a{n}": "" for n in range(number)})
        assert values
        assert len(problems) == MAX_UNKNOWN + (number > MAX_UNKNOWN)
    assert problems[-1].endswith("unknown-attribute 2 -: 7 more attributes are unknown and ignored")


def test_a_reference_to_one_of_several_plugin_sids(tmp_path: Path) -> None:
    first = {"plugin_id": 1, "plugin_sid": "1,2"}
    values, [problem] = second(tmp_path, first, plugin_id=1, plugin_sid="1:PLUGIN_SID")
    assert not values
    assert "error reference-to-list 2 plugin_sid: refers to level 1, which has 2" in problem


def test_a_reference_to_a_level_that_counts(tmp_path: Path) -> None:
    last = rule(**{"from": "2:DST_IP", "to": "2:SRC_IP", "port_to": "!1:DST_PORT"})
    root = rule(rule(last, occurrence=3, to="1:SRC_IP"))
    found = convert(directive(root), tmp_path)
    [problem] = found.problems  # :2.to is the same in all events of level 2
    assert "warning first-event 3 to: refers to level 2, which counts 3 events" in problem


def test_several_sticky_values(tmp_path: Path) -> None:
    for given, names in (
        ("SRC_IP,DST_PORT", ["SRC_IP", "DST_PORT"]),
        (" src_ip , USERDATA1, SRC_IP,NONE", ["SRC_IP", "CUSTOM_DATA1"]),
        ("DST_IP,", "DST_IP"),
    ):
        values, problems = second(tmp_path, occurrence=2, sticky_different=given)
        assert values["sticky_different"] == names
        assert problems == []


def test_all_that_is_wrong_with_a_directive_is_reported_at_once(tmp_path: Path) -> None:
    root = rule(
        rule(rule(time_out="x"), type="monitor", occurrence="x"), sensor="a", reliability="x"
    )
    assert convert(directive(root), tmp_path).codes == [
        "error no-such-condition 1 sensor",
        "error bad-number 1 reliability",
        "error monitor-rule 2 type",
        "error bad-number 2 occurrence",
        "error bad-number 3 time_out",
    ]
