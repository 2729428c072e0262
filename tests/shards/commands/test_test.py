"""The test command: what passes, what fails and why, what is selected, and the exit codes."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.directive_tests.outcome import MAX_ALARMS
from shards.directive_tests.runner import MAX_FAILURES
from tests.support.directive_testing import FILE, HEAD, LOGINS, RunTests, running_tests
from tests.support.replaying import (
    ASSETS,
    LOGIN,
    LOGIN_AGAIN,
    directive,
    event,
    ndjson,
    rule,
    write_config,
)

OPENED = "[{plugin_sid: 1}]"
"""An event that opens a backlog of directive 1, which raises an alarm at once."""


@pytest.fixture
def run_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunTests]:
    yield from running_tests(tmp_path, monkeypatch, capsys)


# What is expected.


@pytest.mark.parametrize(
    "expected",
    [
        "",
        "risk: 4",
        "risk_class: Medium",
        "title: directive 1",
        'title: "*1"',
        "status: Open",
        "tag: Identified Threat",
        "kingdom: k",
        "category: c",
        'alarm_id: "*"',
        "created_time: 1767225600",
        "update_time: 1767225602",
        "src_ips: 192.0.2.1",
        'src_ips: ["192.0.2.*"]',
        "dst_ips: [10.0.0.1]",
        "networks: [10.0.0.0/8]",
        "custom_data: [{label: account, content: jo}]",
        'custom_data: [{content: "j*"}]',
        "stages: [finished, finished]",
        "stages: [finished]",
        "stages: []",
        'rules: [{}, {from: "192.*", occurrence: 2, status: finished}]',
        "count: 1",
    ],
)
def test_an_alarm_is_as_expected(expected: str, run_tests: RunTests) -> None:
    events = "[{plugin_sid: 1, custom_label1: account, custom_data1: jo}"
    events += ", {at: 1s, plugin_sid: 2, repeat: 2}]"
    given = ", ".join(filter(None, ("directive: 1", expected)))
    result = run_tests.of_one(events, f"expect: [{{{given}}}]")
    assert result.messages == []
    assert result.code == 0


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ("risk: 5", "risk is 4"),
        ("risk_class: High", "risk_class is 'Medium'"),
        ("title: directive", "title is 'directive 1'"),
        ("status: Closed", "status is 'Open'"),
        ("tag: x", "tag is 'Identified Threat'"),
        ("kingdom: x", "kingdom is 'k'"),
        ("category: x", "category is 'c'"),
        ("created_time: 1", "created_time is 1767225600"),
        ("update_time: 1", "update_time is 1767225602"),
        ("src_ips: 192.0.2.2", "src_ips is [192.0.2.1]"),
        ("src_ips: [192.0.2.1, 192.0.2.1]", "src_ips is [192.0.2.1]"),
        ("dst_ips: []", "dst_ips is [10.0.0.1]"),
        ("networks: www", "networks is [10.0.0.0/8]"),
        ("custom_data: [{content: jo}]", "custom_data is []"),
        ("stages: [finished, timeout]", "stages is [finished, finished]"),
        ("stages: [finished, finished, none]", "stages is [finished, finished]"),
        ("rules: [{reliability: 1, to: x}]", "reliability of rule 1 is 5; to of rule 1 is 'ANY'"),
        ("rules: [{}, {colour: red}]", "colour of rule 2 is ''"),
        ("rules: [{}, {}, {}]", "rules has 2 entries"),
        ("risk: 1, title: x", "risk is 4; title is 'directive 1'"),
    ],
)
def test_a_failure_names_each_difference(
    expected: str, difference: str, run_tests: RunTests
) -> None:
    result = run_tests.of_one(LOGINS, f"expect: [{{directive: 1, {expected}}}]")
    [message] = result.messages
    first, second = message.splitlines()
    assert first.startswith("expected 1 alarm with directive 1, ")
    assert first.endswith(", got 0")
    shown = "directive 1, risk 4, stages [finished, finished], title 'directive 1'"
    assert second == f"  {shown}: {difference}"
    assert result.code == 1


@pytest.mark.parametrize(
    ("events", "more", "stages"),
    [
        (LOGINS, "", "[finished, finished]"),
        (OPENED, "", "[finished, open]"),
        (OPENED, "advance: 60s", "[finished, open]"),
        (OPENED, "advance: 1m1s", "[finished, timeout]"),
        ("[{plugin_sid: 1}, {at: 5m, plugin_sid: 9}]", "", "[finished, timeout]"),
        ("[{plugin_sid: 1}, {at: 5m, plugin_sid: 2}]", "", "[finished, timeout]"),
    ],
)
def test_words_of_stages(events: str, more: str, stages: str, run_tests: RunTests) -> None:
    expect = f"expect: [{{directive: 1, stages: {stages}}}]"
    assert run_tests.of_one(events, "\n".join(filter(None, (expect, more)))).messages == []


def test_a_stage_that_was_not_reached_is_none(run_tests: RunTests) -> None:
    config = json.loads(Path("conf/directives_a.json").read_text())
    third = {**config["directives"][0]["rules"][1], "stage": 3}
    config["directives"][0]["rules"].append(third)
    write_config(config["directives"])
    expect = "expect: [{directive: 1, stages: [finished, open, none]}]"
    assert run_tests.of_one(OPENED, expect).messages == []


def test_the_number_of_alarms(run_tests: RunTests) -> None:
    events = "[{plugin_sid: 1, src_ip: '192.0.2.{n}', repeat: 3}]"
    assert run_tests.of_one(events, "expect: [{directive: 1, count: 3}]").messages == []
    too_few = run_tests.of_one(events, "expect: [{directive: 1, count: 4}]")
    assert too_few.messages == ["expected 4 alarms with directive 1, got 3"]
    too_many = run_tests.of_one(events, "expect: [{directive: 1}]")
    assert too_many.messages == ["expected 1 alarm with directive 1, got 3"]


def test_each_alarm_meets_one_expectation(run_tests: RunTests) -> None:
    events = "[{plugin_sid: 1, src_ip: '192.0.2.{n}', repeat: 2}]"
    expect = "expect:\n- {directive: 1, src_ips: 192.0.2.2}\n- {directive: 1}"
    assert run_tests.of_one(events, expect).messages == []


def test_the_nearest_alarms_are_shown(run_tests: RunTests) -> None:
    events = "[{plugin_sid: 1, src_ip: '192.0.2.{n}', repeat: 7}]"
    expect = "expect: [{directive: 1, src_ips: 192.0.2.6, risk: 9}]"
    [message] = run_tests.of_one(events, expect).messages
    _, nearest, *others = message.splitlines()
    assert nearest.endswith(": risk is 2")
    assert others[0].endswith(": risk is 2; src_ips is [192.0.2.1]")
    assert others[-1] == "  … and 2 more alarms of this directive"
    assert len(others) == 5


def test_an_alarm_that_nothing_expects(run_tests: RunTests) -> None:
    result = run_tests.of_one(OPENED)
    shown = "directive 1, risk 2, stages [finished, open], title 'directive 1'"
    assert result.messages == [f"an alarm that nothing expects: {shown}"]
    assert result.code == 1
    assert run_tests.of_one(OPENED, "other: allowed").code == 0


def test_a_directive_that_must_never_open(run_tests: RunTests) -> None:
    result = run_tests.of_one(OPENED, "other: allowed\nnever: [2, 1]")
    assert result.messages == ["directive 1 opened a backlog, and must never"]
    assert run_tests.of_one(OPENED, "other: allowed\nnever: [2]").code == 0


def test_a_directive_that_opened_without_an_alarm_has_opened(run_tests: RunTests) -> None:
    write_config([directive(1, rule(1, LOGIN), rule(2, LOGIN_AGAIN), priority=1)])
    assert run_tests.of_one(OPENED).code == 0
    assert run_tests.of_one(OPENED, "never: [1]").code == 1


@pytest.mark.parametrize("more", ["expect: [{directive: 7, count: 0}]", "never: [7]"])
def test_a_directive_that_is_not_there(more: str, run_tests: RunTests) -> None:
    messages = run_tests.of_one("[{plugin_sid: 9}]", more).messages
    assert messages == ["directive 7 is not in the folder, or disabled"]


def test_a_failure_comes_with_the_explanation_of_its_directive(run_tests: RunTests) -> None:
    events = "[{plugin_sid: 1}, {at: 1s, plugin_sid: 2, src_ip: 192.0.2.9}]"
    result = run_tests.of_one(events, "expect: [{directive: 1, stages: [finished, finished]}]")
    [test] = result.document["tests"]
    [explanation] = test["explanation"]
    assert explanation.startswith("1 directive 1: ")
    assert "from" in explanation
    assert "another source than 192.0.2.1" in explanation


def test_failures_of_a_test_are_bounded(run_tests: RunTests) -> None:
    result = run_tests.of_one("[{plugin_sid: 1, src_ip: '192.0.2.{n}', repeat: 50}]")
    assert len(result.messages) == MAX_FAILURES + 1
    assert result.messages[-1] == "and 30 more failures"


def test_alarms_of_a_test_are_bounded(run_tests: RunTests) -> None:
    expect = f"expect: [{{directive: 1, count: {MAX_ALARMS}}}]"
    full = "[{plugin_sid: 1, src_ip: '2001:db8::1:{n}', repeat: 9999, every: 0s}%s]"
    assert run_tests.of_one(full % ", {plugin_sid: 1}", expect).messages == []
    over = full % ", {plugin_sid: 1}, {plugin_sid: 1, src_ip: 192.0.2.2}"
    assert run_tests.of_one(over, expect).messages == ["there are more than 10,000 alarms"]


# The events.


def test_events_are_those_that_the_keys_say(run_tests: RunTests) -> None:
    events = "[{plugin_sid: 1}, {at: 10s, plugin_sid: 2, repeat: 2, every: 30s}]"
    expect = "expect: [{directive: 1, created_time: 1767225600, update_time: 1767225640}]"
    assert run_tests.of_one(events, expect).messages == []


def test_events_are_ordered_by_their_times_unless_it_is_their_list_that_counts(
    run_tests: RunTests,
) -> None:
    events = "[{at: 1m, plugin_sid: 2, repeat: 2}, {at: 50s, plugin_sid: 1}]"
    expect = "expect: [{directive: 1, stages: [finished, %s]}]"
    assert run_tests.of_one(events, expect % "finished").messages == []
    assert run_tests.of_one(events, f"{expect % 'open'}\norder: listed").messages == []


def test_the_assets_can_be_others(run_tests: RunTests) -> None:
    Path("mine.json").write_text(json.dumps({"assets": [{**ASSETS[0], "value": 5}]}))
    test = f"  - {{name: t, events: {OPENED}, expect: [{{directive: 1, risk: %d}}]}}\n"
    assert run_tests(f"{HEAD}{test % 2}").code == 0
    assert run_tests(f"assets: ../mine.json\n{HEAD}{test % 5}").code == 0


def test_recorded_events(run_tests: RunTests) -> None:
    events = ndjson(event("a", 0, LOGIN), event("b", 9, LOGIN_AGAIN))
    Path("conf/recorded.ndjson.gz").write_bytes(gzip.compress(events))
    steps = "[{file: recorded.ndjson.gz}, {at: 10s, plugin_sid: 2}]"
    expect = "expect: [{directive: 1, stages: [finished, finished], update_time: 1741075210}]"
    assert run_tests.of_one(steps, expect).messages == []


def test_a_recorded_event_with_a_wrong_clock_is_treated_as_in_replay(run_tests: RunTests) -> None:
    ahead = event("x", 3 * 86400, LOGIN, src_ip="192.0.2.9")
    events = (event("a", 0, LOGIN), ahead, event("b", 9, LOGIN_AGAIN), event("c", 9, LOGIN_AGAIN))
    Path("conf/recorded.ndjson").write_bytes(ndjson(*events))
    expect = "expect: [{directive: 1, stages: [finished, finished]}]\nother: allowed"
    assert run_tests.of_one("[{file: recorded.ndjson}]", expect).messages == []


def test_recorded_events_that_are_invalid(run_tests: RunTests) -> None:
    Path("conf/recorded.ndjson").write_bytes(ndjson(event("a", 0, LOGIN), "{}"))
    [message] = run_tests.of_one("[{file: recorded.ndjson}]", "other: allowed").messages
    assert message.startswith("invalid event at conf/recorded.ndjson, line 2: missing_field: ")


def test_an_event_that_is_invalid_is_named_with_its_place(run_tests: RunTests) -> None:
    result = run_tests.of_one("[{plugin_sid: 1, src_ip: nowhere}]")
    [test] = result.document["tests"]
    [failure] = test["failures"]
    detail = 'src_ip is "nowhere", must be an IP address'
    assert failure["message"] == f"invalid event: bad_address: {detail}"
    assert (failure["line"], failure["column"]) == (4, 14)


# Selection, and the exit codes.

THREE = f"""{HEAD}
  - {{name: one good, events: {OPENED}, other: allowed}}
  - {{name: two bad, events: {OPENED}}}
  - {{name: three bad, events: {OPENED}}}
"""


def test_a_run_in_text(run_tests: RunTests) -> None:
    result = run_tests(THREE)
    lines = result.out.splitlines()
    assert lines[0] == f"{FILE} .FF"
    assert lines[1] == f"FAILED {FILE}:5:5 two bad"
    assert lines[2].startswith(f"  {FILE}:5:5: an alarm that nothing expects: ")
    assert lines[3].startswith("  1 directive 1: ")
    assert lines[-1].startswith("2 failed, 1 passed in ")
    assert result.code == 1


def test_selecting_by_name(run_tests: RunTests) -> None:
    result = run_tests(THREE, "-k", "good")
    assert result.out.splitlines()[-1].startswith("1 passed, 2 deselected in ")
    assert result.code == 0


def test_no_test_is_selected(run_tests: RunTests) -> None:
    result = run_tests(THREE, "-k", "nothing")
    assert result.out.splitlines()[-1].startswith("3 deselected in ")
    assert result.err == "no test was run\n"
    assert result.code == 1


def test_stopping_after_the_first_failure(run_tests: RunTests) -> None:
    result = run_tests(THREE, "--fail-fast")
    assert result.out.splitlines()[0] == f"{FILE} .F"
    assert result.out.splitlines()[-1].startswith("1 failed, 1 passed, 1 not run in ")
    assert result.code == 1


def test_a_folder_has_the_tests_of_the_folders_in_it(run_tests: RunTests) -> None:
    for name in ("conf/a_test.yaml", "conf/b_test.yml", "conf/other.yaml"):
        Path(name).write_text(f"{HEAD}  - {{name: {name}, events: {OPENED}, other: allowed}}")
    result = run_tests.of(".", "conf/a_test.yaml", "--format", "json")
    names = [test["name"] for test in result.document["tests"]]
    assert names == ["conf/a_test.yaml", "conf/b_test.yml"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "nowhere is missing"),
        (["conf/nowhere_test.yaml"], "conf/nowhere_test.yaml is missing"),
        (["conf"], "conf holds no tests, must hold *_test.yaml or *_test.yml"),
        (["/dev/null"], "/dev/null is no file"),
    ],
)
def test_paths_that_cannot_be_used(arguments: list[str], error: str, run_tests: RunTests) -> None:
    result = run_tests.of(*arguments)
    assert result.err == f"{error}\n"
    assert result.code == 2


@pytest.mark.parametrize(
    "arguments",
    [["conf", "--format", "sarif"], ["conf", "--fail-under", "101"], ["conf", "--colour"]],
)
def test_wrong_usage(arguments: list[str], run_tests: RunTests) -> None:
    assert run_tests.of(*arguments).code == 3


def test_a_faulty_config_stops_all(run_tests: RunTests) -> None:
    Path("conf/directives_a.json").write_text('{"directives": [{"id": 1}]}')
    result = run_tests(THREE)
    assert all(line.startswith("conf/directives_a.json:1:17") for line in result.problems)
    assert len(result.problems) > 1
    assert result.code == 1


def test_a_faulty_file_stops_all(run_tests: RunTests) -> None:
    Path("conf/b_test.yaml").write_text("tests: []\n")
    Path(FILE).write_text(THREE)
    result = run_tests.of("conf")
    [problem] = result.problems
    assert problem.startswith("conf/b_test.yaml:1:8")
    assert result.out == ""
    assert result.code == 1


def test_tests_without_directives_beside_them(run_tests: RunTests) -> None:
    Path("empty").mkdir()
    Path("empty/a_test.yaml").write_text(THREE)
    result = run_tests.of("empty")
    assert result.err.startswith("empty holds no config, must hold ")
    assert result.code == 2
    Path("empty/assets_a.json").write_text(Path("conf/assets_a.json").read_text())
    result = run_tests.of("empty")
    [problem] = result.problems
    assert problem.endswith("there are no directives in the folder, must be at least one")
    assert result.code == 1


@pytest.mark.parametrize("assets", ["nowhere.json", ".", "a" * 300, "../pipe"])
def test_assets_that_cannot_be_read(assets: str, run_tests: RunTests) -> None:
    os.mkfifo("pipe")
    result = run_tests(f"assets: {assets}\n{THREE}")
    path = Path("conf") / assets
    assert result.err == f"{path}, the assets of tests in conf, is no file\n"
    assert result.code == 2
