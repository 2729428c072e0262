"""Directives: their own fields, the paths through alternatives, and limits."""

from pathlib import Path
from typing import Any

import pytest

from shards.ossim.directives import MAX_PATHS, MAX_STAGES, PATH_STEP
from shards.ossim.xml_reader import MAX_ELEMENTS
from tests.support.ossim import Converted, convert, directive, element, rule

TWO_RULES = rule(rule())


def chain(length: int) -> str:
    """Rules below each other."""
    text = rule()
    for _ in range(length - 1):
        text = rule(text)
    return text


def sids(found: Converted) -> list[list[int]]:
    """The plugin_sid of each rule of each directive."""
    return [[sid for one in d["rules"] for sid in one["plugin_sid"]] for d in found.directives]


def by_sid(sid: int, *following: str, **more: Any) -> str:
    return rule(*following, plugin_id=1, plugin_sid=sid, **more)


def test_the_fields_of_a_directive(tmp_path: Path) -> None:
    found = convert(directive(TWO_RULES, rev="3", groupalarmby=""), tmp_path)
    assert [found.directives[0][name] for name in ("id", "name", "kingdom", "category")] == [
        *(7, "AV Misc, test", "k", "c")
    ]
    assert found.codes == ["warning ignored - groupalarmby"]


def test_kingdom_and_category_are_guessed_with_one_warning_for_the_file(tmp_path: Path) -> None:
    text = "".join(directive(TWO_RULES, id=id_, kingdom="") for id_ in (1, 2, 3))
    found = convert(text, tmp_path)
    assert {one["kingdom"] for one in found.directives} == {"Environmental Awareness"}
    [problem] = found.problems
    assert problem.startswith("1 warning from-name - kingdom: ")
    assert problem.endswith("; 3 in this file, the first one here")


@pytest.mark.parametrize(
    ("priority", "wanted", "codes"),
    [
        ("5", 5, []),
        ("0", 1, ["warning out-of-range - priority"]),
        ("9", 5, ["warning out-of-range - priority"]),
    ],
)
def test_priority(tmp_path: Path, priority: str, wanted: int, codes: list[str]) -> None:
    found = convert(directive(TWO_RULES, priority=priority), tmp_path)
    assert found.directives[0]["priority"] == wanted
    assert found.codes == codes


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (directive(TWO_RULES, id=""), "error bad-number - id"),
        (directive(TWO_RULES, id="450x55"), "error bad-number - id"),
        (directive(TWO_RULES, id="0"), "error bad-number - id"),
        (directive(TWO_RULES, id=2**31), "error bad-number - id"),
        (directive(TWO_RULES, name=" "), "error missing - name"),
        (directive(TWO_RULES, priority="high"), "error bad-number - priority"),
        (directive(TWO_RULES, timetable="nights"), "error no-such-condition - timetable"),
        (directive(""), "error no-first-rule - rule"),
        (directive(TWO_RULES + TWO_RULES), "error no-first-rule - rule"),
        (directive(TWO_RULES + "<x/>" * MAX_ELEMENTS), "error too-many-elements - rule"),
        (directive(chain(MAX_STAGES + 1)), "error too-many-stages 256 stage"),
    ],
)
def test_directives_that_cannot_be_expressed(tmp_path: Path, text: str, code: str) -> None:
    found = convert(text, tmp_path)
    assert found.directives == []
    assert code in found.codes
    assert (found.counts.read, found.counts.left_out) == (1, 1)


def test_names_with_other_variables(tmp_path: Path) -> None:
    found = convert(directive(TWO_RULES, name="to DST_PORT"), tmp_path)
    assert found.codes == ["warning not-replaced - name"]


def test_the_most_stages(tmp_path: Path) -> None:
    found = convert(directive(chain(MAX_STAGES)), tmp_path)
    assert found.problems == []
    assert len(found.directives[0]["rules"]) == MAX_STAGES


def test_alternatives_become_directives(tmp_path: Path) -> None:
    root = by_sid(1, by_sid(2, by_sid(3), by_sid(4)), by_sid(5), by_sid(6, by_sid(7)))
    found = convert(directive(root), tmp_path)
    assert sids(found) == [[1, 2, 3], [1, 2, 4], [1, 5], [1, 6, 7]]
    assert [one["id"] for one in found.directives] == [7 + PATH_STEP * n for n in range(4)]
    assert [rule_["stage"] for rule_ in found.directives[0]["rules"]] == [1, 2, 3]
    [problem] = found.problems
    assert "warning alternatives - id: has 4 alternative paths, each a directive" in problem


def test_several_lists_of_rules_are_one(tmp_path: Path) -> None:
    lists = element("rules", by_sid(2)) + element("rules", by_sid(3))
    root = by_sid(1).replace("</rule>", f"{lists}</rule>")
    assert sids(convert(directive(root), tmp_path)) == [[1, 2], [1, 3]]


def test_a_path_that_cannot_be_expressed_is_left_out_and_ids_stay(tmp_path: Path) -> None:
    root = by_sid(1, by_sid(2, type="monitor"), by_sid(3), by_sid(4, by_sid(5, time_out="x")))
    found = convert(directive(root), tmp_path)
    assert sids(found) == [[1, 3]]
    assert found.directives[0]["id"] == 7 + PATH_STEP
    assert found.codes == [
        "error monitor-rule 2 type",
        "error bad-number 3 time_out",
        "warning alternatives - id",
    ]
    counts = found.counts
    assert (counts.read, counts.left_out, counts.cut, counts.written) == (1, 0, 1, 1)


def test_relative_reliability_follows_the_path(tmp_path: Path) -> None:
    root = rule(
        rule(rule(reliability="+1"), reliability="+2"), rule(reliability="+3"), reliability=2
    )
    found = convert(directive(root), tmp_path)
    assert [[one["reliability"] for one in d["rules"]] for d in found.directives] == [
        *([2, 4, 5], [2, 5])
    ]


def test_paths_are_bounded(tmp_path: Path) -> None:
    for number, written in ((MAX_PATHS, MAX_PATHS), (MAX_PATHS + 1, 0)):
        found = convert(directive(rule(*(rule() for _ in range(number)))), tmp_path)
        assert len(found.directives) == written
    [problem] = found.problems
    assert "error too-many-paths - rule: has 101 alternative paths, must be at most" in problem


def test_elements_and_text_that_have_no_place_there(tmp_path: Path) -> None:
    inner = by_sid(2).replace("</rule>", "<rules><foo/></rules><bar/></rule>")
    root = by_sid(1, inner).replace("</rule></rules>", f"</rule>{by_sid(3)}</rules>{by_sid(4)}")
    found = convert(directive(root + f"<{'x' * 100}/>").replace("<bar/>", "text<bar/>"), tmp_path)
    assert sids(found) == [[1, 2], [1, 3]]
    assert found.codes == [
        "warning text - -",
        f"warning unknown-element - {'x' * 63}…",
        "warning misplaced-rule 1 rule",
        "warning unknown-element 2 foo",
        "warning unknown-element 2 bar",
        "warning alternatives - id",
    ]


def test_a_first_rule_alone_is_a_directive_of_one_rule(tmp_path: Path) -> None:
    found = convert(directive(rule(name="only")), tmp_path)
    assert [one["name"] for one in found.directives[0]["rules"]] == ["only"]
    assert found.problems == []
