"""The diff command on small configs: what it says, in each format, and how it ends."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.commands import diff_markdown, diff_text
from tests.support.commands import Ran, Run, lines_with, write_events
from tests.support.replaying import (
    ASSETS,
    AT_START,
    BRUTE_FORCE,
    DENIED,
    LOGIN,
    LOGIN_AGAIN,
    SCAN,
    Json,
    directive,
    event,
    ndjson,
    replaying,
    rule,
    write_config,
)

UNKNOWN = 999
LOGINS = [event("a", 0, LOGIN), event("b", 5, LOGIN_AGAIN), event("c", 10, LOGIN_AGAIN)]
STORY = [*LOGINS, event("d", 20, DENIED)]
LATER = directive(
    1,
    rule(1, LOGIN),
    rule(2, LOGIN_AGAIN, occurrence=3, reliability=10, **{"from": ":1"}),
)
"""Directive 1, which needs an event more."""


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    for _ in replaying(tmp_path, monkeypatch, capsys):
        write_config(folder="old")
        write_config(folder="new")
        write_events(*STORY)
        yield Run(capsys)


def diff(run: Run, *options: str, events: str = "events.ndjson") -> Ran:
    return run("diff", "old", "new", events, *options)


def totals(ran: Ran) -> dict[str, int]:
    """The numbers of alarms other than 0."""
    return {kind: count for kind, count in ran.document["alarms"].items() if count}


def test_equal_configs_give_equal_alarms(run: Run) -> None:
    ran = diff(run, "--fail-on", "new,gone,changed")
    assert ran == (
        0,
        "0 new, 0 gone, 0 changed, 2 unchanged alarms; 0 directives differ; 4 events\n",
        "",
    )


def test_a_changed_alarm_with_its_parts(run: Run) -> None:
    write_config([LATER, SCAN], folder="new")
    ran = diff(run, "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    assert totals(ran) == {"changed": 1, "unchanged": 1}
    [changed] = ran.document["changed"]
    assert changed["differing"] == ["risk", "risk_class", "stages"]
    old, new = changed["old"], changed["new"]
    first, last = {"id": "a", "time": AT_START}, {"id": "c", "time": AT_START + 10}
    for alarm in (old, new):
        assert (alarm["first_event"], alarm["last_event"], alarm["events"]) == (first, last, 3)
    assert (old["risk"], old["risk_class"], old["stages"]) == (4, "Medium", ["finished"] * 2)
    assert (new["risk"], new["risk_class"], new["stages"]) == (2, "Low", ["finished", ""])
    assert ran.document["directives"] == [
        {
            "id": 1,
            "name": "directive 1",
            "counts": {"new": 0, "gone": 0, "changed": 1, "unchanged": 0},
            "changes": ["stage 2 occurrence 2 → 3"],
        }
    ]


def test_the_ids_are_those_of_replay(run: Run) -> None:
    write_config([BRUTE_FORCE], folder="old")
    [new] = diff(run, "--format", "json").document["new"]
    run("replay", "--config-dir", "new", "--log-dir", "logs", "events.ndjson")
    assert f'"{new["alarm_id"]}"' in Path("logs/siem_alarms.json").read_text()
    other = diff(run, "--format", "json", "--node", "other").document["new"][0]
    assert other["alarm_id"] != new["alarm_id"]


def test_text_shows_directives_and_alarms(run: Run) -> None:
    write_config([LATER, directive(3, rule(1, DENIED), rule(2, UNKNOWN))], folder="new")
    out = diff(run).out
    assert lines_with(out, ["1 directive 1", "0      0         1           0"])
    assert lines_with(out, ["stage 2 occurrence 2 → 3"])
    assert lines_with(out, ["only in OLD"])
    assert lines_with(out, ["only in NEW"])
    assert lines_with(out, ["risk 4 Medium → 2 Low"])
    assert lines_with(out, ["stages 2/2 → 1/2"])
    assert lines_with(out, ["2 Low", "3 directive 3", "1/2"])
    assert out.endswith(
        "1 new, 1 gone, 1 changed, 0 unchanged alarms; 3 directives differ; 4 events\n"
    )


def test_a_directive_that_is_disabled_in_one_config(run: Run) -> None:
    write_config([BRUTE_FORCE, SCAN | {"disabled": True}], folder="new")
    ran = diff(run, "--format", "json")
    assert ran.document["directives"][0]["changes"] == ["disabled in NEW"]
    assert totals(ran) == {"gone": 1, "unchanged": 1}
    assert "new/directives_a.json" in ran.err
    assert "warning disabled: directive 2" in ran.err
    [row] = run("diff", "new", "old", "events.ndjson", "--format", "json").document["directives"]
    assert row["changes"] == ["disabled in OLD"]


def test_assets_that_differ_are_said(run: Run) -> None:
    write_config(assets=[ASSETS[0] | {"value": 5}], folder="new")
    ran = diff(run)
    assert ran.out.endswith("0 directives differ; the assets differ; 4 events\n")
    assert lines_with(ran.out, ["risk 4 Medium → 10 High"])
    assert diff(run, "--format", "json").document["assets_differ"] is True


def test_alarms_of_risk_0_are_none_until_they_have_one(run: Run) -> None:
    silent = [BRUTE_FORCE | {"rules": [rule(1, LOGIN, reliability=0), BRUTE_FORCE["rules"][1]]}]
    write_config(silent, folder="old")
    write_config(silent, folder="new")
    write_events(*LOGINS[:2])
    assert totals(diff(run, "--format", "json")) == {}
    write_events(*LOGINS)
    assert totals(diff(run, "--format", "json")) == {"unchanged": 1}
    write_config([BRUTE_FORCE], folder="new")
    assert totals(diff(run, "--format", "json")) == {"unchanged": 1}
    write_events(*LOGINS[:2])
    assert totals(diff(run, "--format", "json")) == {"new": 1}


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [("new", 0), ("gone", 1), ("changed", 0), ("new,changed", 0), ("new, gone", 1)],
)
def test_fail_on(fail_on: str, code: int, run: Run) -> None:
    write_config([BRUTE_FORCE], folder="new")
    assert diff(run, "--fail-on", fail_on).code == code


def test_stdin_is_read_once_for_both(run: Run) -> None:
    write_config([BRUTE_FORCE], folder="new")
    ran = run.piped(gzip.compress(ndjson(*STORY)), "diff", "old", "new", "-", "--format", "json")
    assert totals(ran) == {"gone": 1, "unchanged": 1}
    assert ran.document["events"] == 4


def test_several_files_are_merged(run: Run) -> None:
    write_events(*STORY[::2], name="1")
    write_events(*STORY[1::2], name="2")
    ran = run("diff", "old", "new", "2", "1", "--format", "json")
    assert totals(ran) == {"unchanged": 2}
    assert ran.err == ""


def test_what_only_one_config_finds_invalid_is_logged_and_no_end(run: Run) -> None:
    write_config([BRUTE_FORCE], folder="old")
    write_events("no json", event("x", 0, DENIED, dst_ip="?"), *STORY)
    ran = diff(run, "--format", "json")
    assert totals(ran) == {"new": 1, "unchanged": 1}
    assert "events.ndjson, line 1" in ran.err
    assert "events.ndjson, line 2" in ran.err


WRONG_ORDER = {
    "newest first": [*(event(f"x{n}", 60 * n, UNKNOWN) for n in range(19, 0, -1)), *STORY[::-1]],
    "late": [event("x", 300, UNKNOWN), *STORY],
    "future": [*STORY[:2], event("x", 0, UNKNOWN, timestamp="2026-03-04T08:00:00Z"), *STORY[2:]],
}


@pytest.mark.parametrize("what", WRONG_ORDER)
@pytest.mark.parametrize("command", [["diff", "old", "new"], ["stats", "--config-dir", "old"]])
def test_the_order_of_events_gives_the_warnings_of_replay(
    what: str, command: list[str], run: Run
) -> None:
    write_events(*WRONG_ORDER[what])
    replayed = run("replay", "--config-dir", "old", "--log-dir", "logs", "events.ndjson")
    assert replayed.err
    ran = run(*command, "events.ndjson", "--format", "json")
    assert (ran.code, ran.err) == (0, replayed.err)
    assert [f"{text}\n" for text in ran.document["warnings"]] == [replayed.err]
    if what != "future":
        assert run(*command, "events.ndjson", "--sort").err == ""


def test_a_damaged_file_gives_what_could_be_read_and_1(run: Run) -> None:
    write_config([BRUTE_FORCE], folder="new")
    Path("cut.gz").write_bytes(gzip.compress(ndjson(*STORY * 100))[:-20])
    ran = diff(run, "--format", "json", events="cut.gz")
    assert ran.code == 1
    assert ran.err.startswith("stopped: cut.gz cannot be read to its end: ")
    assert ran.document["warnings"][0].startswith("stopped: cut.gz")


USAGE = [
    (["old", "new"], "diff needs OLD and NEW, two config folders, and at least one EVENTS"),
    (["events.ndjson", "new", "old"], "OLD is 'events.ndjson', should be a config folder"),
    (["old", "events.ndjson", "new"], "NEW is 'events.ndjson', should be a config folder"),
    (
        ["old", "new", "events.ndjson", "--fail-on", "worse"],
        "--fail-on is 'worse', should be one or more of new, gone, changed with commas between",
    ),
    (
        ["old", "new", "events.ndjson", "--format", "sarif"],
        "--format is 'sarif', should be text or json or markdown",
    ),
    (["old", "new", "events.ndjson", "--config-dir", "old"], "unrecognized arguments: "),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_wrong_usage_is_3(arguments: list[str], message: str, run: Run) -> None:
    ran = run("diff", *arguments)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"dsiem-backend: {message}")


NO_PATH = [
    (["none", "new", "events.ndjson"], "none is missing"),
    (["old", "none", "events.ndjson"], "none is missing"),
    (["old", "empty", "events.ndjson"], "empty holds no config, must hold "),
    (["old", "new", "none"], "none cannot be read: No such file or directory"),
    (["old", "new", "old"], "old cannot be read: Is a directory"),
]


@pytest.mark.parametrize(("arguments", "message"), NO_PATH)
def test_a_missing_path_is_2(arguments: list[str], message: str, run: Run) -> None:
    Path("empty").mkdir()
    ran = run("diff", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(message)


def test_the_faults_of_both_configs_are_listed_and_the_code_is_1(run: Run) -> None:
    write_config([BRUTE_FORCE | {"priority": 9}], folder="old")
    write_config([SCAN | {"name": ""}], folder="new")
    ran = diff(run)
    assert (ran.code, ran.out) == (1, "")
    first, second, last = ran.err.splitlines()
    assert first.startswith("old/directives_a.json:1:")
    assert " error out-of-range: directive 1, priority: " in first
    assert second.startswith("new/directives_a.json:1:")
    assert last == "nothing was compared: faults in OLD and NEW"


def many(count: int, **more: Any) -> list[Json]:
    return [event(f"e{n}", n, LOGIN, src_ip=f"10.1.0.{n}", **more) for n in range(count)]


@pytest.mark.parametrize(
    ("format_", "most"), [("text", diff_text.MAX_ROWS), ("markdown", diff_markdown.MAX_ROWS)]
)
def test_rows_are_bounded_unless_all_are_wanted(format_: str, most: int, run: Run) -> None:
    write_config([directive(7, rule(1, DENIED), rule(2, UNKNOWN))], folder="old")
    write_events(*many(most + 20))
    out = diff(run, "--format", format_).out
    assert len(lines_with(out, ["1 ", "directive 1", "Low"])) == most
    assert "… and 20 more" in out
    out = diff(run, "--format", format_, "--all").out
    assert len(lines_with(out, ["1 ", "directive 1", "Low"])) == most + 20
    assert "more" not in out


HOSTILE = "|</details><script>`[x](http://evil)` @admin #1 www.evil.example _x_ \x1b[2J\u202e\n|\\"


def hostile_diff(run: Run, format_: str) -> str:
    write_config([SCAN], folder="old")
    write_config([BRUTE_FORCE | {"name": HOSTILE}], folder="new")
    write_events(event(HOSTILE * 100, 0, LOGIN))
    ran = diff(run, "--format", format_)
    assert ran.code == 0
    return ran.out


def test_markdown_holds_no_markup_from_outside(run: Run) -> None:
    out = hostile_diff(run, "markdown")
    assert all(line.isprintable() for line in out.splitlines())
    for part in ("<script", "`", "](", "http:", "@", "#1", "www.", "_", "\\", "\x1b"):
        assert part not in out.replace("&#", "")
    assert out.count("</details>") == out.count("<details>") == 1
    columns = {line.count("|") for line in out.splitlines() if line.startswith("|")}
    assert columns == {7, 8}


def test_text_holds_no_control_characters_from_outside(run: Run) -> None:
    out = hostile_diff(run, "text")
    assert all(line.isprintable() for line in out.splitlines())
    assert len(out) < 5000


def test_markdown_has_a_summary_a_table_and_collapsed_details(run: Run) -> None:
    write_config([LATER], folder="new")
    lines = diff(run, "--format", "markdown").out.splitlines()
    assert lines[0] == (
        "**Alarms:** 0 new, 1 gone, 1 changed, 0 unchanged alarms; 2 directives differ; 4 events"
    )
    assert lines[2:6] == [
        "| directive | name | new | gone | changed | unchanged | differs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| 1 | <code>directive 1</code> | 0 | 0 | 1 | 0 | <code>stage 2 occurrence 2 → 3</code> |",
        "| 2 | <code>directive 2</code> | 0 | 1 | 0 | 0 | <code>only in OLD</code> |",
    ]
    assert "<details><summary>1 gone</summary>" in lines
    assert "<details><summary>1 changed</summary>" in lines


def test_markdown_shows_warnings(run: Run) -> None:
    write_events(*WRONG_ORDER["late"])
    out = diff(run, "--format", "markdown").out
    assert "> **Warning:** <code>4 events came late" in out
