"""Files: what is valid in the end, ids over several files, and hostile files."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.directives.directive import parse_directives
from engine.errors import has_faults
from shards.config.problem import MAX_LISTED, ProblemList
from shards.ossim.conversion import Converter
from tests.support.ossim import USER_XML, convert, directive, rule

TWO_RULES = rule(rule())

_CHOICES: dict[str, list[Any]] = {
    "plugin_id": [1001, "1:PLUGIN_ID"],
    "plugin_sid": ["1", "1,2,3", "1:PLUGIN_SID"],
    "from": ["ANY", "HOME_NET", "!HOME_NET", "10.0.0.0/8,!10.0.0.1", "1:SRC_IP", "2:DST_IP"],
    "to": ["ANY", "!10.0.0.1", "2001:db8::/32", "1:DST_IP", "!1:SRC_IP", "1:USERDATA1"],
    "port_from": ["ANY", "1024-1030", "1:SRC_PORT", "!1:DST_PORT"],
    "port_to": ["22", "!22,!80", "20-25,!23", "1:DST_PORT"],
    "protocol": ["TCP", "6", "1:PROTOCOL"],
    "userdata1": ["root", "!root", "a,b", "1:USERDATA1", "!2:SRC_IP", "1:DST_PORT"],
    "userdata3": ["ANY", "http://x"],
    "occurrence": [1, 2, 10_000],
    "reliability": [0, 5, "+3", "+10", 99],
    "time_out": [0, 60, "None", 86_400],
    "sticky_different": [
        "",
        "DST_IP",
        "SRC_PORT",
        "PLUGIN_SID",
        "USERDATA2",
        "NONE",
        "SRC_IP,DST_PORT",
    ],
    "sticky": ["true"],
    "name": ["", "é <&> \n"],
}
"""Values of attributes that can be expressed, most of them on any level."""


def random_rule(chooser: random.Random, depth: int) -> str:
    names = [name for name in _CHOICES if chooser.random() < 0.4]
    attributes: dict[str, Any] = {"plugin_id": 1, "plugin_sid": "7"}
    attributes |= {name: chooser.choice(_CHOICES[name]) for name in names}
    following = chooser.randrange(1, 4) if depth > 0 else 0
    return rule(*(random_rule(chooser, depth - 1) for _ in range(following)), **attributes)


@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_all_that_comes_out_is_valid(
    tmp_path_factory: pytest.TempPathFactory, chooser: random.Random, depth: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.xml"
    path.write_text(directive(random_rule(chooser, depth)), "utf-8")
    problems = ProblemList(None)
    converter = Converter(problems)
    converter.convert_file(path)
    assert converter.directives or problems.faults
    parsed = list(parse_directives(b'{"directives":[%b]}' % b",".join(converter.directives)))
    assert not any(has_faults(one.findings) for one in parsed)
    assert len({one.id for one in parsed}) == len(converter.directives)


@given(st.binary(max_size=300) | st.text(alphabet="<>/=&;\"' adirectvsul1:!?-", max_size=200))
def test_no_file_leads_to_more_than_a_report(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    found = convert(content, tmp_path_factory.getbasetemp())
    assert found.directives or any(" error " in f" {one}" for one in found.problems)


def test_the_file_of_an_administrator(tmp_path: Path) -> None:
    found = convert(USER_XML.read_bytes(), tmp_path)
    assert [one["id"] for one in found.directives] == [
        *(500001, 10_000_500_001, 500002),
        *(500003, 500004),
    ]
    assert found.directives[3]["rules"][1]["from"] == ":1.to"
    assert found.directives[3]["rules"][1]["to"] == ":1.from"
    assert found.directives[2]["rules"][0]["from"] == "!10.0.0.9, 10.0.0.0/8, !0.0.0.0/0, !::/0"
    assert found.directives[4]["rules"][1]["custom_data1"] == ":1"
    assert found.codes == [
        "warning alternatives - id",
        "error no-such-condition 2 username",
        "error reference-in-list 2 to",
        "warning from-name - kingdom",
        "warning protocol 1 protocol",
        "warning taxonomy-numbers 1 category",
    ]
    assert found.problems[1].startswith("61 ")


def test_ids_are_unique_over_files(tmp_path: Path) -> None:
    converter = Converter(ProblemList())
    for name, text in (("a", directive(TWO_RULES)), ("b", directive(TWO_RULES) + "\n<directive/>")):
        (tmp_path / name).write_text(text)
        converter.convert_file(tmp_path / name)
    first = converter.problems.listed[0]
    assert first.file == str(tmp_path / "b")
    assert first.finding.code == "duplicate-id"
    assert f"is 7 as in {tmp_path}/a:1, must be unique" in first.finding.message
    assert (len(converter.directives), converter.counts.left_out) == (1, 2)


def test_a_directive_twice_in_one_line_is_a_duplicate_too(tmp_path: Path) -> None:
    found = convert(directive(TWO_RULES) * 2, tmp_path)
    assert found.codes == ["error duplicate-id - id"]
    assert len(found.directives) == 1


def test_directives_before_a_fault_are_converted(tmp_path: Path) -> None:
    found = convert(directive(TWO_RULES) + "\n<directive", tmp_path)
    assert len(found.directives) == 1
    assert found.problems[0].startswith("2 error bad-xml - -: is not well-formed XML: ")


@pytest.mark.parametrize(
    "text",
    ["hello", "<directives/>", "<?xml version='1.0'?><!-- none -->", "<html><directive/></html>"],
)
def test_a_file_without_directives_is_faulty(tmp_path: Path, text: str) -> None:
    assert "error no-directives - -" in convert(text, tmp_path).codes


def test_groups_and_other_elements_are_named(tmp_path: Path) -> None:
    more = "<groups><group/></groups><timetables/><foo/>"
    found = convert(f"<directives>{directive(TWO_RULES)}{more}</directives>", tmp_path)
    assert [problem.split(" ", 1)[1] for problem in found.problems] == [
        f"warning ignored-element - {name}: is ignored: {reason}"
        for name, reason in (
            ("groups", "directives have no groups, and all of them are active"),
            ("timetables", "directives hold at all times"),
            ("foo", "there is no such element in OSSIM"),
        )
    ]


def test_a_file_that_includes_others_names_them(tmp_path: Path) -> None:
    text = (
        "<!DOCTYPE directives SYSTEM '/etc/ossim/server/directives.dtd' [\n"
        "<!ENTITY user SYSTEM 'user.xml'>]>\n<directives>\n&user;&more;</directives>"
    )
    found = convert(text, tmp_path)
    assert [problem.split(" ", 1)[1] for problem in found.problems] == [
        f"warning not-read - -: {what}, which is not read: convert it by itself"
        for what in (
            "&user; stands for the file user.xml",
            "&more; stands for something in a DTD",
        )
    ]


def test_the_output_is_bounded(tmp_path: Path) -> None:
    text = "".join(directive(TWO_RULES, id=id_) for id_ in range(1, 30))
    found = convert(text, tmp_path, max_output=2000)
    written = len(found.directives)
    assert 2 <= written <= 10
    assert found.codes == ["error too-large - -"] * (29 - written)
    assert found.counts.left_out == 29 - written


def test_the_report_is_bounded_and_all_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(directive(rule(rule())).replace("</rules>", "<x/>" * 3000 + "</rules>"))
    problems = ProblemList()
    Converter(problems).convert_file(path)
    assert (problems.warnings, len(problems.listed)) == (3000, MAX_LISTED)
