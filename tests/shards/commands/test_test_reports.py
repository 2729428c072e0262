"""The reports of the test command: coverage, JUnit, JSON and GitHub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from defusedxml import ElementTree
from junitparser import JUnitXml

from tests.support.directive_testing import FILE, HEAD, LOGINS, RunTests, running_tests

OPENED = "[{plugin_sid: 1}]"
TWO = f"""{HEAD}
  - {{name: good, events: {LOGINS}, other: allowed}}
  - {{name: "bad, <&>: 5%", events: {OPENED}}}
"""


@pytest.fixture
def run_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunTests]:
    yield from running_tests(tmp_path, monkeypatch, capsys)


def coverage_of(result_out: str) -> list[str]:
    """The lines about coverage."""
    lines = result_out.splitlines()
    return lines[lines.index("conf") + 1 : -1]


def test_coverage_of_stages_and_conditions(run_tests: RunTests) -> None:
    result = run_tests(f"{HEAD}  - {{name: t, events: {LOGINS}, other: allowed}}", "--coverage")
    assert coverage_of(result.out) == [
        "1 directive 1: 2 of 2 stages finished",
        "  stage 2: from never false",
        "2 directive 2: never opened",
        "50.0 % of the stages are finished by tests",
    ]
    assert result.code == 0


@pytest.mark.parametrize(
    ("events", "more", "stage"),
    [
        (OPENED, "", "reached, never finished"),
        (OPENED, "advance: 1h", "timed out"),
        (
            "[{plugin_sid: 1}, {plugin_sid: 2, src_ip: 192.0.2.9}]",
            "",
            "reached, never finished; from never true",
        ),
        (
            "[{plugin_sid: 1}, {plugin_sid: 2, src_ip: 192.0.2.9}, {plugin_sid: 2, repeat: 2}]",
            "",
            "",
        ),
    ],
)
def test_coverage_of_a_stage(events: str, more: str, stage: str, run_tests: RunTests) -> None:
    text = f"{HEAD}  - name: t\n    other: allowed\n    events: {events}\n    {more}\n"
    lines = coverage_of(run_tests(text, "--coverage").out)
    assert lines[1 : lines.index("2 directive 2: never opened")] == (
        [f"  stage 2: {stage}"] if stage else []
    )


def test_tests_together_cover_a_directive(run_tests: RunTests) -> None:
    denied = "{plugin_sid: 3}, {plugin_sid: 4, dst_port: '{n}', repeat: 3}"
    text = f"{HEAD}  - {{name: a, events: {LOGINS}, other: allowed}}\n"
    text += f"  - {{name: b, events: [{denied}], other: allowed}}\n"
    result = run_tests(text, "--coverage", "--fail-under", "100")
    assert coverage_of(result.out)[-1] == "100.0 % of the stages are finished by tests"
    assert result.code == 0


def test_too_little_coverage_is_a_failure(run_tests: RunTests) -> None:
    text = f"{HEAD}  - {{name: t, events: {LOGINS}, other: allowed}}"
    assert run_tests(text, "--coverage", "--fail-under", "50").code == 0
    result = run_tests(text, "--fail-under", "51")
    assert result.err == "50.0 % of the stages are finished by tests, --fail-under wants 51 %\n"
    assert result.code == 1


def test_coverage_for_programs(run_tests: RunTests) -> None:
    document = run_tests(TWO, "--coverage", "--format", "json").document
    assert document["stages_finished_percent"] == 50.0
    first, second = document["coverage"]
    assert (first["folder"], first["directive"], first["name"]) == ("conf", 1, "directive 1")
    assert first["stages"][1] == {
        "stage": 2,
        "reached": True,
        "finished": True,
        "timed_out": False,
        "averted": False,
        "conditions": {"from": [True]},
    }
    assert [stage["reached"] for stage in second["stages"]] == [False, False]


def test_json(run_tests: RunTests) -> None:
    result = run_tests(TWO, "--format", "json", "-k", "bad")
    document = result.document
    assert {name: document[name] for name in ("passed", "failed", "deselected", "not_run")} == {
        "passed": 0,
        "failed": 1,
        "deselected": 1,
        "not_run": 0,
    }
    [test] = document["tests"]
    assert (test["name"], test["file"], test["line"]) == ("bad, <&>: 5%", FILE, 5)
    assert test["status"] == "failed"
    assert test["failures"][0]["directives"] == [1]
    assert "coverage" not in document


def test_junit(run_tests: RunTests) -> None:
    result = run_tests(TWO, "--junit", "report.xml")
    assert result.code == 1
    assert result.out.splitlines()[0] == f"{FILE} .F"
    [suite] = JUnitXml.fromfile("report.xml")
    assert (suite.name, suite.tests, suite.failures) == (FILE, 2, 1)
    good, bad = suite
    assert (good.name, good.classname, list(good.result)) == ("good", FILE, [])
    assert bad.name == "bad, <&>: 5%"
    [failure] = bad.result
    assert failure.message.startswith("an alarm that nothing expects: ")
    assert failure.text.splitlines()[0] == f"FAILED {FILE}:5:5 bad, <&>: 5%"
    root = ElementTree.parse("report.xml").getroot()
    assert root is not None
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures")) == ("2", "1")


def test_junit_holds_names_that_xml_cannot(run_tests: RunTests) -> None:
    name = '"\\0\\e\\ufffe\\x85]]>ä😀"'
    run_tests(f"{HEAD}  - {{name: {name}, events: {OPENED}}}", "--junit", "report.xml")
    [suite] = JUnitXml.fromfile("report.xml")
    [case] = suite
    assert case.name == "���\x85]]>ä😀"


@pytest.mark.parametrize("path", ["nowhere/report.xml", "conf", f"{'a' * 300}"])
def test_a_junit_report_that_cannot_be_written(path: str, run_tests: RunTests) -> None:
    result = run_tests(TWO, "--junit", path)
    assert result.out.splitlines()[-1].startswith("1 failed, 1 passed in ")
    assert result.err.startswith(f"{path} cannot be written: ")
    assert result.code == 2


def test_github(run_tests: RunTests) -> None:
    result = run_tests(TWO, "--format", "github")
    [line] = result.out.splitlines()
    title = "bad%2C <&>%3A 5%25"
    assert line.startswith(f"::error file={FILE},line=5,col=5,title={title}::an alarm that nothing")
    assert "%0A1 directive 1: " in line
    assert result.code == 1


def test_faults_are_shown_by_github_too(run_tests: RunTests) -> None:
    result = run_tests("tests:\n  - name: 'a,b'\n    events: []\n", "--format", "github")
    [line] = result.out.splitlines()
    assert line.startswith(f"::error file={FILE},line=3,col=13,title=bad-test::")
    assert len(result.problems) == 1
    assert result.code == 1


def test_reports_of_no_tests(run_tests: RunTests) -> None:
    for format_ in ("json", "github"):
        result = run_tests(TWO, "-k", "nothing", "--junit", "report.xml", "--format", format_)
        assert result.code == 1
    assert run_tests(TWO, "-k", "x y", "--format", "json").document["deselected"] == 2
    assert list(JUnitXml.fromfile("report.xml")) == []
    assert json.loads(run_tests(TWO, "-k", "x y", "--format", "json").out)["tests"] == []
