"""`test --record`: the file of tests that it prints passes, and what it cannot record is said."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shards.directive_tests import recorder
from shards.directive_tests.recorder import MAX_EVENTS, MAX_EXPECTED
from tests.support.directive_testing import CommandResult, RunTests, running_tests
from tests.support.paths import EXAMPLE
from tests.support.replaying import (
    LOGIN,
    LOGIN_AGAIN,
    Json,
    directive,
    event,
    ndjson,
    rule,
    write_config,
)

RECORDED = Path("conf/recorded_test.yaml")


@pytest.fixture
def run_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunTests]:
    yield from running_tests(tmp_path, monkeypatch, capsys)


def record(run_tests: RunTests, *events: Json | str | bytes, id_: int = 1) -> CommandResult:
    """Record these events, and write what is printed into a file in the folder `conf`."""
    Path("events.ndjson").write_bytes(ndjson(*events))
    result = run_tests.of("conf", "--record", "events.ndjson", "--directive", str(id_))
    RECORDED.write_text(result.out)
    return result


def recorded_test(result: CommandResult) -> Any:
    """The test that was recorded."""
    [test] = yaml.safe_load(result.out)["tests"]
    return test


@pytest.mark.parametrize("id_", range(1001, 1015))
def test_what_is_recorded_of_the_example_passes(
    id_: int, run_tests: RunTests, tmp_path: Path
) -> None:
    for path in (EXAMPLE / "configs").glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    events = str(EXAMPLE / "events.ndjson.gz")
    result = run_tests.of(str(tmp_path), "--record", events, "--directive", str(id_))
    assert result.code == 0
    (tmp_path / "x_test.yaml").write_text(result.out)
    again = run_tests.of(str(tmp_path / "x_test.yaml"), "--format", "json")
    assert again.messages == []
    assert again.document["passed"] == 1
    assert again.code == 0
    assert recorded_test(result)["expect"]


def test_a_recorded_test_is_short(run_tests: RunTests) -> None:
    again = (event(f"b{n}", 10 + 5 * n, LOGIN_AGAIN) for n in range(2))
    other = event("x", 3, LOGIN_AGAIN, src_ip="192.0.2.9")
    result = record(run_tests, event("a", 0, LOGIN), other, *again, event("z", 60, 9))
    assert yaml.safe_load(result.out) == {
        "defaults": {
            "sensor": "s",
            "src_ip": "192.0.2.1",
            "dst_ip": "10.0.0.1",
            "plugin_id": 1001,
        },
        "tests": [
            {
                "name": "directive 1 as recorded",
                "events": [
                    {"at": "0s", "plugin_sid": 1},
                    {"at": "10s", "plugin_sid": 2, "repeat": 2, "every": "5s"},
                ],
                "expect": [
                    {
                        "directive": 1,
                        "risk": 4,
                        "stages": ["finished", "finished"],
                        "title": "directive 1",
                        "count": 1,
                    }
                ],
                "advance": "45s",
            }
        ],
    }
    assert run_tests.of(str(RECORDED)).code == 0


def test_events_that_came_late_are_recorded_in_their_order(run_tests: RunTests) -> None:
    result = record(
        run_tests,
        event("a", 2, LOGIN),
        event("b", 1, LOGIN_AGAIN),
        event("c", 0, LOGIN, src_ip="192.0.2.2"),
    )
    test = recorded_test(result)
    assert test["order"] == "listed"
    assert [step["at"] for step in test["events"]] == ["2s", "1s", "0s"]
    assert run_tests.of(str(RECORDED)).code == 0


def test_a_repeat_is_recorded_with_its_id(run_tests: RunTests) -> None:
    result = record(run_tests, event("a", 0, LOGIN), event("a", 0, LOGIN))
    assert yaml.safe_load(result.out)["defaults"]["event_id"] == "a"
    assert run_tests.of(str(RECORDED)).code == 0


VALUES = (
    *("{n}", "{{n}}", "{{{n}", "yes", "null", "1.10", "007", "10:20", "2026-01-01", "*", " x "),
    *("\x1b[31m\u202e", "ä😀", "a\nb: c", "\x85\u2028", "'\"", "<<", "=", "&a *a !a", "\ufeff"),
)


@pytest.mark.parametrize("value", VALUES)
def test_values_stay_what_they_are(value: str, run_tests: RunTests) -> None:
    events = [event(f"e{n}", n, LOGIN, custom_data1=value, src_ip="192.0.2.2") for n in range(3)]
    result = record(run_tests, *events)
    assert all(line.isprintable() for line in result.out.splitlines())
    assert run_tests.of(str(RECORDED)).code == 0
    document = yaml.safe_load(result.out)
    document["tests"][0]["expect"][0]["custom_data"] = [{"content": value}]
    RECORDED.write_text(yaml.safe_dump(document))
    assert run_tests.of(str(RECORDED)).code == 0


@pytest.mark.parametrize("value", [True, 1.10, 5, None, [1], {"a": 1}, 10**25])
def test_odd_values_of_events(value: object, run_tests: RunTests) -> None:
    record(run_tests, event("e", 0, LOGIN, custom_data1=value, title=value))
    assert run_tests.of(str(RECORDED)).code == 0


def test_other_alarms_are_allowed_if_there_were_some(run_tests: RunTests) -> None:
    denied = event("d", 0, 3)
    assert "other" not in recorded_test(record(run_tests, event("a", 0, LOGIN)))
    assert recorded_test(record(run_tests, denied, event("a", 0, LOGIN)))["other"] == "allowed"


def test_many_events_are_left_in_their_file(run_tests: RunTests) -> None:
    events = [event(f"e{n}", n, LOGIN, src_ip="192.0.2.2") for n in range(MAX_EVENTS)]
    assert len(recorded_test(record(run_tests, *events))["events"]) == 1
    result = record(run_tests, *events, event("x", MAX_EVENTS, LOGIN))
    assert recorded_test(result)["events"] == [{"file": "../events.ndjson"}]
    assert "the directive took more than 500 events: the test names the file" in result.err
    assert run_tests.of(str(RECORDED)).code == 0


def test_many_different_alarms_are_not_all_expected(run_tests: RunTests) -> None:
    config = [directive(1, rule(1, LOGIN), rule(2, LOGIN_AGAIN), name="login from SRC_IP")]
    write_config(config)
    events = [event(f"e{n}", 0, LOGIN, src_ip=f"192.0.2.{n}") for n in range(120)]
    result = record(run_tests, *events)
    assert len(recorded_test(result)["expect"]) == MAX_EXPECTED
    assert recorded_test(result)["other"] == "allowed"
    assert result.err == "the test expects 100 different alarms, and allows 20 more\n"
    assert run_tests.of(str(RECORDED)).code == 0


def test_more_alarms_than_a_test_can_have(
    run_tests: RunTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_ALARMS", 3)
    events = [event(f"e{n}", 0, LOGIN, src_ip=f"192.0.2.{n}") for n in range(4)]
    assert record(run_tests, *events[:3]).code == 0
    result = record(run_tests, *events)
    assert result.err == "nothing was recorded: a test has at most 10,000 alarms\n"
    assert result.code == 1


def test_a_directive_that_took_none(run_tests: RunTests) -> None:
    result = record(run_tests, event("a", 0, LOGIN), id_=2)
    assert result.out == ""
    assert result.err == "nothing was recorded: directive 2 took none of the events\n"
    assert result.code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["conf"], 3, "--record needs --directive with the id of one directive"),
        (["conf", "--directive", "1,2"], 3, "--record needs --directive with the id of one"),
        (["conf", "--directive", "x"], 3, "--directive is 'x', should be ids, like 1001,1002"),
        (["conf", "conf", "--directive", "1"], 3, "--record needs the folder of the directives"),
        (["events.ndjson", "--directive", "1"], 3, "--record needs the folder of the directives"),
        (["conf", "--directive", "7"], 1, "conf has no directive 7 that is enabled"),
    ],
)
def test_what_cannot_be_recorded(
    arguments: list[str], code: int, error: str, run_tests: RunTests
) -> None:
    Path("events.ndjson").write_bytes(ndjson(event("a", 0, LOGIN)))
    result = run_tests.of(*arguments, "--record", "events.ndjson")
    assert error in result.err
    assert result.code == code
    assert result.out == ""


def test_a_recording_that_is_missing_or_damaged(run_tests: RunTests) -> None:
    result = run_tests.of("conf", "--record", "nowhere", "--directive", "1")
    assert result.err == "nowhere cannot be read: No such file or directory\n"
    assert result.code == 2
    Path("cut.gz").write_bytes(b"\x1f\x8b\x08\x00")
    result = run_tests.of("conf", "--record", "cut.gz", "--directive", "1")
    assert result.err.startswith("stopped: cut.gz cannot be read to its end: ")
    assert result.code == 1


def test_a_faulty_config_is_not_recorded_with(run_tests: RunTests) -> None:
    Path("conf/directives_a.json").write_text("{}")
    result = record(run_tests, event("a", 0, LOGIN))
    assert result.err.splitlines()[-1] == "nothing was recorded: the config has faults"
    assert result.code == 1
