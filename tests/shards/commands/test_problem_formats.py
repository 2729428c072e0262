"""Problems as GitHub annotations, SARIF and JUnit: structure, escapes, and hostile names."""

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from jsonschema import Draft7Validator

from engine.errors import Finding
from engine.finding_codes import CODES
from shards.commands.problem_formats import (
    github_command,
    github_lines,
    junit_report,
    sarif_log,
)
from shards.config.problem import Problem

EVIL = 'a,b:c%\n::error::x"<&>\x1b]\udcffé'
FAULT = Problem(
    "conf/d.json", 4, 7, Finding("missing", "is missing", directive=3, stage=2, field="from")
)
WARNING = Problem("conf/a.json", 2, 1, Finding("host-bits", "has bits", field="cidr", warning=True))
LINT = Problem(
    "conf/d.json", 9, 3, Finding("no-risk", "is 1", directive=3, warning=True, lint=True)
)
HOSTILE = Problem(f"{EVIL}.json", 1, 1, Finding("empty", EVIL, field=EVIL))
PROBLEMS = [FAULT, WARNING, LINT]

REQUIRED_OF_SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/run"}},
    },
    "definitions": {
        "run": {
            "type": "object",
            "required": ["tool", "results"],
            "additionalProperties": False,
            "properties": {
                "tool": {
                    "type": "object",
                    "properties": {"driver": {"$ref": "#/definitions/driver"}},
                },
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "invocations": {"type": "array", "items": {"required": ["executionSuccessful"]}},
                "results": {"type": "array", "items": {"$ref": "#/definitions/result"}},
            },
        },
        "driver": {
            "type": "object",
            "required": ["name", "rules"],
            "properties": {
                "rules": {
                    "type": "array",
                    "uniqueItems": True,
                    "items": {
                        "type": "object",
                        "required": ["id", "shortDescription", "help", "defaultConfiguration"],
                    },
                },
            },
        },
        "result": {
            "type": "object",
            "required": ["message", "ruleId", "level", "locations"],
            "properties": {
                "level": {"enum": ["none", "note", "warning", "error"]},
                "message": {"type": "object", "required": ["text"]},
            },
        },
    },
}
"""What the SARIF 2.1.0 standard asks for, of the properties that are used."""


def test_a_problem_is_a_workflow_command() -> None:
    assert list(github_lines(PROBLEMS, ["x cannot be read"])) == [
        f"::error file=conf/d.json,line=4,col=7,title=missing::{FAULT.subject}: is missing",
        "::warning file=conf/a.json,line=2,col=1,title=host-bits::cidr: has bits",
        "::notice file=conf/d.json,line=9,col=3,title=no-risk::directive 3: is 1",
        "::error::x cannot be read",
    ]


def test_nothing_leaves_its_part_of_a_workflow_command() -> None:
    [line] = github_lines([HOSTILE], [])
    assert line.isprintable()
    _, properties, message = line.split("::", 2)
    assert properties == (
        'error file=a%2Cb%3Ac%25\\n%3A%3Aerror%3A%3Ax"<&>\\x1b]\\udcffé.json,'
        "line=1,col=1,title=empty"
    )
    assert message.startswith('a,b:c%25\\n::error::x"<&>\\x1b]\\udcffé: a,b')


def test_other_commands_can_print_annotations_without_a_place() -> None:
    assert github_command("notice", "50 %") == "::notice::50 %25"


def test_files_below_the_working_folder_are_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the checkout in which GitHub looks for them."""
    monkeypatch.chdir(tmp_path)
    finding = Finding("empty", "is empty")
    inside = Problem(str(tmp_path / "c" / "a b.json"), 1, 1, finding)
    outside = Problem("/elsewhere/a.json", 1, 1, finding)
    files = [line.split("=")[1].split(",")[0] for line in github_lines([inside, outside], [])]
    assert files == ["c/a b.json", "/elsewhere/a.json"]
    results = sarif_log([inside, outside], [])["runs"][0]["results"]
    assert [uri_of(result) for result in results] == ["c/a%20b.json", "file:///elsewhere/a.json"]


def uri_of(result: dict[str, Any]) -> str:
    [location] = result["locations"]
    uri: str = location["physicalLocation"]["artifactLocation"]["uri"]
    return uri


def test_a_sarif_log_has_the_structure_of_the_standard() -> None:
    log = json.loads(json.dumps(sarif_log([*PROBLEMS, HOSTILE], ["x"], "3 more")))
    Draft7Validator(REQUIRED_OF_SARIF).validate(log)
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CODES)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note", "error"]
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [one["message"]["text"] for one in invocation["toolExecutionNotifications"]] == [
        "x",
        "3 more",
    ]


def test_a_sarif_result_has_place_text_and_subject() -> None:
    run = sarif_log([FAULT], [])["runs"][0]
    assert run["invocations"][0]["executionSuccessful"] is True
    [result] = run["results"]
    assert result["message"]["text"] == "directive 3, stage 2, from: is missing"
    [location] = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "conf/d.json"},
        "region": {"startLine": 4, "startColumn": 7},
    }
    assert result["properties"] == {"directive": 3, "stage": 2, "field": "from"}


def test_a_rule_of_sarif_says_what_it_is_and_where_to_read_on() -> None:
    rules = sarif_log([], [])["runs"][0]["tool"]["driver"]["rules"]
    [rule] = [rule for rule in rules if rule["id"] == "no-timeout"]
    assert rule["shortDescription"]["text"] == "A later stage ends at once."
    assert "docs/lints.md#no-timeout" in rule["help"]["text"]
    assert rule["defaultConfiguration"] == {"level": "warning"}


def test_a_sarif_uri_of_any_name_is_a_uri() -> None:
    [result] = sarif_log([Problem("a%b ä\udcff#?.json", 1, 1, FAULT.finding)], [])["runs"][0][
        "results"
    ]
    assert uri_of(result) == "a%25b%20%C3%A4%FF%23%3F.json"


def suites(files: list[str], problems: list[Problem], errors: list[str]) -> list[Element]:
    report = fromstring(junit_report(files, problems, errors))
    assert report.tag == "testsuites"
    return list(report)


def test_junit_has_a_suite_for_each_file_and_a_failure_for_each_fault() -> None:
    twice = [*PROBLEMS, FAULT]
    first, second, third = suites(["conf/a.json", "conf/d.json", "conf/ok.json"], twice, [])
    assert [suite.get("name") for suite in (first, second, third)] == [
        "conf/a.json",
        "conf/d.json",
        "conf/ok.json",
    ]
    assert [(suite.get("tests"), suite.get("failures")) for suite in (first, second, third)] == [
        ("1", "0"),
        ("2", "2"),
        ("1", "0"),
    ]
    failure = second[0][0]
    assert failure.tag == "failure"
    assert failure.attrib == {
        "type": "missing",
        "message": "directive 3, stage 2, from: is missing",
    }
    assert failure.text == str(FAULT)


def test_warnings_and_lints_are_the_output_of_a_junit_suite() -> None:
    first, second = suites(["conf/a.json", "conf/d.json"], PROBLEMS, [])
    assert first.findtext("testcase/system-out") == str(WARNING)
    assert second.findtext("testcase/system-out") == str(LINT)


def test_what_is_unreadable_is_an_error_in_junit() -> None:
    [suite] = suites([], [], ["x cannot be read"])
    assert (suite.get("name"), suite.get("errors")) == ("unreadable", "1")


def test_junit_is_xml_whatever_the_texts_are() -> None:
    [suite, *_] = suites([HOSTILE.file], [HOSTILE], [EVIL])
    assert suite.get("name") == 'a,b:c%\\n::error::x"<&>\\x1b]\\udcffé.json'


def test_a_problem_of_a_folder_has_a_suite_too() -> None:
    fault = Problem("conf", 1, 1, Finding("no-assets", "there are no assets", field="assets"))
    assert [suite.get("name") for suite in suites(["conf/d.json"], [fault], [])] == [
        "conf/d.json",
        "conf",
    ]
