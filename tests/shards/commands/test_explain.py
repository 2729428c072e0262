"""The explain command: what it prints of recorded events, for people and for programs."""

import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cli
from shards.commands import explain as command
from shards.replay import explaining_replay
from tests.support.replaying import (
    BRUTE_FORCE,
    DENIED,
    DENIED_AGAIN,
    LOGIN,
    LOGIN_AGAIN,
    Json,
    directive,
    event,
    ndjson,
    replaying,
    rule,
    write_config,
)


class Explained(NamedTuple):
    """What the command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Explain(NamedTuple):
    """Runs the command, with a config in the folder `conf`."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *lines: Json | str | bytes, options: Iterable[str] = ()) -> Explained:
        Path("events.ndjson").write_bytes(ndjson(*lines))
        return self.of("events.ndjson", *options)

    def of(self, *arguments: str, config: str = "conf") -> Explained:
        code = cli.main(["explain", "--config-dir", config, *arguments])
        return Explained(code, *self.capsys.readouterr())


@pytest.fixture
def explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Explain]:
    for _ in replaying(tmp_path, monkeypatch, capsys):
        yield Explain(capsys)


AS_JSON = ("--format", "json")


def headlines(found: Explained) -> list[str]:
    """The ids of the directives that are explained."""
    return [line.split()[0] for line in found.lines if " directive " in line]


def test_the_sentence_says_what_a_person_would_say(explain: Explain) -> None:
    write_config(
        [
            directive(
                1001,
                rule(1, LOGIN),
                rule(2, LOGIN_AGAIN, occurrence=3, timeout=300, **{"from": ":1"}),
                name="SSH brute force",
            )
        ],
        assets=[{"name": "other", "cidr": "198.18.0.0/15", "value": 1}],
    )
    source = {"src_ip": "203.0.113.7"}
    found = explain(
        event("open", 0, LOGIN, **source),
        *(event(f"other-{n}", 1 + n, LOGIN_AGAIN, src_ip=f"198.51.100.{n}") for n in range(9)),
        event("taken", 20, LOGIN_AGAIN, **source),
        event("late-1", 341, LOGIN_AGAIN, **source),
        event("late-2", 341, LOGIN_AGAIN, **source),
    )
    assert found.code == 0
    assert found.lines[0] == (
        "1001 SSH brute force: It did not fire. 12 events came for stage 2, 3 were needed. "
        "9 came from another source than 203.0.113.7 (from is :1). "
        "2 came 41 s after the timeout (300 s). 1 was taken."
    )
    assert found.err == (
        "13 events: 13 concern a directive, 0 concern none, 0 are from whitelisted assets, "
        "0 invalid\n"
    )


EVENTS = (
    event("a", 0, LOGIN),
    event("b", 1, LOGIN_AGAIN),
    event("c", 2, LOGIN_AGAIN, src_ip="192.0.2.9"),
    event("b", 1, LOGIN_AGAIN),
    event("d", 3, LOGIN_AGAIN),
    event("e", 4, 99),
    event("f", 5, LOGIN, src_ip="10.0.0.99"),
)


NO_MATCH = (
    "  1 stage 2: no match: it came from another source than 192.0.2.1 (from is :1), "
    "got 192.0.2.9; 2 of 3 conditions met"
)


def test_events_are_shown_one_by_one_if_there_are_few(explain: Explain) -> None:
    found = explain(*EVENTS)
    assert found.code == 0
    assert found.lines == [
        "1 directive 1: 1 alarm, with both stages finished.",
        "a 2025-03-04T08:00:00Z 1001:1; 192.0.2.1 → 10.0.0.1",
        "  1 stage 1: opened a backlog",
        "b 2025-03-04T08:00:01Z 1001:2; 192.0.2.1 → 10.0.0.1",
        "  1 stage 2: taken (1 of 2)",
        "c 2025-03-04T08:00:02Z 1001:2; 192.0.2.9 → 10.0.0.1",
        NO_MATCH,
        "b 2025-03-04T08:00:01Z 1001:2; 192.0.2.1 → 10.0.0.1",
        "  1: a repeat: the directive has taken this event before",
        "d 2025-03-04T08:00:03Z 1001:2; 192.0.2.1 → 10.0.0.1",
        "  1 stage 2: taken (2 of 2): the stage is finished",
        "e 2025-03-04T08:00:04Z 1001:99; 192.0.2.1 → 10.0.0.1",
        "  no rule has its plugin_id and plugin_sid, or its product and category",
        "f 2025-03-04T08:00:05Z 1001:1; 10.0.0.99 → 10.0.0.1",
        "  dropped: its source is in a whitelisted asset",
    ]
    assert found.err == (
        "7 events: 5 concern a directive, 1 concerns none, 1 is from whitelisted assets, "
        "0 invalid\n"
    )


def test_all_other_verdicts_in_words(explain: Explain) -> None:
    write_config(
        [
            directive(
                2,
                rule(1, DENIED),
                rule(2, DENIED_AGAIN, occurrence=2, sticky_different="DST_PORT"),
                rule(3, DENIED_AGAIN, occurrence=5),
                all_rules_always_active=True,
            )
        ]
    )
    found = explain(
        event("a", 10, DENIED),
        event("b", 11, DENIED_AGAIN, dst_port=1),
        event("c", 12, DENIED_AGAIN, dst_port=1),
        event("d", 1, DENIED_AGAIN, dst_port=2),
        event("e", 13, DENIED),
        event("f", 100, DENIED_AGAIN, dst_port=3),
    )
    assert [line for line in found.lines if line.startswith("  ")] == [
        "  2 stage 1: opened a backlog",
        "  2 stage 2: taken (1 of 2)",
        "  2 stage 2: not counted (1 of 2): sticky_different wants a new value",
        "  2 stage 2: out of order: 9 s before the end of the previous stage",
        "  2 stage 1: taken at an earlier stage (all_rules_always_active)",
        "  2 stage 2: too late: 30 s after the timeout of the stage",
    ]


def test_backlogs_are_named_where_an_event_has_verdicts_of_several(explain: Explain) -> None:
    found = explain(
        event("a", 0, LOGIN, src_ip="192.0.2.1"),
        event("b", 0, LOGIN, src_ip="192.0.2.2"),
        event("c", 1, LOGIN_AGAIN, src_ip="192.0.2.2"),
        options=("--event", "c", *AS_JSON),
    )
    [shown] = found.document["events"]
    taken, refused = shown["verdicts"]
    assert (taken["verdict"], refused["verdict"]) == ("taken", "no_match")
    assert taken["backlog"] != refused["backlog"]
    text = explain.of("events.ndjson", "--event", "c")
    assert text.lines[-2].startswith(f"  1 stage 2 backlog {taken['backlog']}: taken")
    assert text.lines[-1].startswith(f"  1 stage 2 backlog {refused['backlog']}: no match")


def test_the_json_has_directives_events_and_totals(explain: Explain) -> None:
    document = explain(*EVENTS, "no json", options=AS_JSON).document
    events = document.pop("events")
    assert document == {
        "events_received": 8,
        "invalid": {"bad_json": 1},
        "unmatched": 1,
        "whitelisted": 1,
        "directives": [
            {
                "directive": 1,
                "name": "directive 1",
                "sentence": "1 alarm, with both stages finished.",
                "events": 5,
                "opened": 1,
                "finished": 1,
                "alarms": 1,
                "repeated": 1,
                "whitelisted": 1,
                "suppressed": 0,
                "stage": 2,
                "stages": 2,
                "needed": 2,
                "taken": 2,
                "came": 3,
                "refused": [
                    {
                        "refusal": {
                            "field": "from",
                            "rule": ":1",
                            "wants": "192.0.2.1",
                            "got": "192.0.2.9",
                            "met": 2,
                            "conditions": 3,
                        },
                        "events": 1,
                    }
                ],
                "late": 0,
                "late_seconds": [],
                "sticky_seen": 0,
                "out_of_order": 0,
                "too_late": 0,
                "averted": 0,
                "unasked": 0,
            }
        ],
        "events_omitted": 0,
    }
    assert [one["event_id"] for one in events] == ["a", "b", "c", "b", "d", "e", "f", ""]
    assert events[3] == {
        "place": "events.ndjson, line 4",
        "event_id": "b",
        "timestamp": "2025-03-04T08:00:01Z",
        "about": "1001:2; 192.0.2.1 → 10.0.0.1",
        "verdicts": [{"verdict": "repeated", "directive": 1}],
    }
    [invalid] = events[-1]["verdicts"]
    assert invalid["verdict"] == "invalid"
    assert invalid["detail"].startswith("bad_json: ")


@pytest.mark.parametrize("options", [(), ("--directive", "1")])
def test_events_from_whitelisted_assets_open_no_backlog(
    explain: Explain, options: tuple[str, ...]
) -> None:
    found = explain(event("f", 5, LOGIN, src_ip="10.0.0.99"), options=options)
    assert found.lines[0] == (
        "1 directive 1: It did not fire. No event came for stage 1 (plugin_id 1001, "
        f"plugin_sid {LOGIN}). 1 event of its kinds was dropped: the source is in a whitelisted "
        "asset."
    )


def test_all_invalid_events_are_counted(explain: Explain) -> None:
    incomplete = event("b", 1, LOGIN_AGAIN)
    del incomplete["timestamp"]
    events = (event("a", 0, LOGIN), incomplete, "no json")
    found = explain(*events)
    assert found.err.endswith(
        "3 events: 1 concerns a directive, 0 concern none, 0 are from whitelisted assets, "
        "2 invalid\n"
    )
    document = explain(*events, options=AS_JSON).document
    assert document["invalid"] == {"missing_field": 1, "bad_json": 1}
    without_time = explain.of("events.ndjson").lines
    assert any(line.startswith("b 1001:") for line in without_time), (
        "no trailing blank for a time that is not there"
    )


def test_a_selected_directive_is_explained_without_any_event(explain: Explain) -> None:
    [line] = explain(options=("--directive", "1")).lines
    assert line.startswith("1 directive 1: It did not fire. No event came for stage 1 ")


def test_events_are_selected_by_id_and_those_that_are_not_there_are_named(
    explain: Explain,
) -> None:
    found = explain(*EVENTS, options=("--event", "b,zz,\x1b[2J,e"))
    assert [line for line in found.lines if not line.startswith(" ")] == [
        "1 directive 1: 1 alarm, with both stages finished.",
        "b 2025-03-04T08:00:01Z 1001:2; 192.0.2.1 → 10.0.0.1",
        "b 2025-03-04T08:00:01Z 1001:2; 192.0.2.1 → 10.0.0.1",
        "e 2025-03-04T08:00:04Z 1001:99; 192.0.2.1 → 10.0.0.1",
    ]
    assert found.err.splitlines()[-1] == r"no event has the id \x1b[2J, zz"


def test_selected_events_are_shown_with_the_directives_that_they_concern(explain: Explain) -> None:
    events = (event("a", 0, LOGIN), event("b", 1, DENIED), event("c", 2, 99))
    assert len(headlines(explain(*events))) == 2
    assert headlines(explain(*events, options=("--event", "b"))) == ["2"]
    assert headlines(explain(*events, options=("--event", "c"))) == []
    assert headlines(explain(*events, options=("--event", "b", "--directive", "1"))) == ["1"]


def test_a_directive_that_is_selected_is_explained_for_events_that_concern_none(
    explain: Explain,
) -> None:
    found = explain(event("e", 4, 99), options=("--directive", "2,1"))
    for line, id_, sid in zip(found.lines, (1, 2), (LOGIN, DENIED), strict=False):
        assert line == (
            f"{id_} directive {id_}: It did not fire. No event came for stage 1 (plugin_id 1001, "
            f"plugin_sid {sid}). 1 event of plugin_id 1001 had plugin_sid 99."
        )
    assert explain(*EVENTS, options=("--directive", "2")).lines[0].startswith("2 directive 2: It")


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5", "²", "9" * 20])
def test_a_directive_that_is_no_number_is_a_wrong_command_line(
    explain: Explain, wrong: str
) -> None:
    found = explain(options=("--directive", wrong))
    assert (found.code, found.out) == (3, "")
    assert f"--directive is {wrong!r}, should be ids, like 1001,1002" in found.err


def test_a_directive_that_is_not_there_is_named(explain: Explain) -> None:
    found = explain(*EVENTS, options=("--directive", "1,4711,4712"))
    assert (found.code, found.out) == (1, "")
    assert found.err == "conf has no directive 4711, 4712 that is enabled\n"


def test_a_faulty_config_is_reported_and_nothing_explained(explain: Explain) -> None:
    write_config([BRUTE_FORCE | {"priority": 9}])
    found = explain(*EVENTS)
    assert (found.code, found.out) == (1, "")
    assert "priority: is 9, must be a whole number from 1 to 5" in found.err
    assert found.err.endswith("nothing was explained: the config has faults\n")


def test_files_and_folders_that_are_missing(explain: Explain) -> None:
    found = explain.of("nowhere.ndjson")
    assert (found.code, found.out) == (2, "")
    assert "nowhere.ndjson" in found.err
    Path("events.ndjson").write_bytes(b"")
    found = explain.of("events.ndjson", config="nowhere")
    assert (found.code, found.out) == (2, "")
    assert "nowhere" in found.err


def test_events_come_from_standard_input(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(ndjson(*EVENTS))))
    monkeypatch.setattr(sys, "stdin", stdin)
    found = explain.of("-")
    assert found.code == 0
    assert found.lines[0] == "1 directive 1: 1 alarm, with both stages finished."


def test_no_events_say_so(explain: Explain) -> None:
    found = explain()
    assert (found.code, found.out) == (0, "")
    assert found.err == (
        "0 events: 0 concern a directive, 0 concern none, 0 are from whitelisted assets, "
        "0 invalid\n"
    )


def test_hostile_texts_reach_no_terminal(explain: Explain) -> None:
    hostile = "\x1b]0;x\x07\u202e\n"
    write_config(
        [
            directive(
                1,
                rule(1, LOGIN, custom_data1=f"a{hostile}b"),
                rule(2, LOGIN),
                name=f"name{hostile}[bold]",
            )
        ]
    )
    found = explain(
        event(f"id{hostile}[red]", 0, LOGIN, custom_data1=hostile),
        b'{"event_id": "\\ud800", "timestamp": "\\udfff", "plugin_id": 1001, "plugin_sid": 1,'
        b' "src_ip": "192.0.2.1", "dst_ip": "192.0.2.1", "sensor": "s", "custom_data1": "\\ud800"}',
        b'{"event_id": "\xff"}',
        b"[" * 100_000,
    )
    assert found.code == 0
    assert not set(found.out + found.err) & {"\x1b", "\x07", "\u202e"}
    assert "name\\x1b]0;x\\x07\\u202e\\n[bold]" in found.lines[0]
    assert any(line.startswith("id\\x1b]0;x\\x07\\u202e\\n[red] ") for line in found.lines)
    document = explain.of("events.ndjson", *AS_JSON).document
    assert len(document["events"]) == 4
    assert document["events"][0]["event_id"] == f"id{hostile}[red]"


def test_a_surrogate_on_the_command_line_is_no_traceback(explain: Explain) -> None:
    found = explain(*EVENTS, options=("--event", "\udcff"))
    assert found.code == 0
    assert "no event has the id \\udcff" in found.err


# Bounds.


def test_many_events_are_shown_only_if_they_are_selected(explain: Explain) -> None:
    many = [event(f"e{n}", n, LOGIN) for n in range(command.MAX_EVENTS + 1)]
    assert len(explain(*many).lines) == 1
    assert len(explain(*many[:-1]).lines) > command.MAX_EVENTS


def test_events_are_kept_up_to_a_number_and_the_rest_counted(explain: Explain) -> None:
    number = explaining_replay.MAX_EVENTS + 7
    many = [event(f"e{n}", n / 100, 99) for n in range(number)]
    document = explain(*many, options=AS_JSON).document
    assert (len(document["events"]), document["events_omitted"]) == (number - 7, 7)
    same = [event("same", n / 100, 99) for n in range(number)]
    document = explain(*same, options=(*AS_JSON, "--event", "same")).document
    assert (len(document["events"]), document["events_omitted"]) == (number - 7, 7)
    last = explain(*many, options=("--event", f"e{number - 1}"))
    assert last.lines == [
        f"e{number - 1} 2025-03-04T08:00:10.060000Z 1001:99; 192.0.2.1 → 10.0.0.1",
        "  no rule has its plugin_id and plugin_sid, or its product and category",
    ]


def test_verdicts_of_an_event_are_kept_up_to_a_number_consuming_ones_first(
    explain: Explain,
) -> None:
    number = explaining_replay.MAX_VERDICTS + 20
    opening = [event(f"e{n}", 0, LOGIN, src_ip=f"192.0.2.{n}") for n in range(number)]
    last = event("x", 1, LOGIN_AGAIN, src_ip=f"192.0.2.{number - 1}")
    found = explain(*opening, last, options=("--event", "x", *AS_JSON))
    [shown] = found.document["events"]
    assert len(shown["verdicts"]) == explaining_replay.MAX_VERDICTS
    assert (shown["verdicts"][0]["verdict"], shown["more"]) == ("taken", 20)
    text = explain.of("events.ndjson", "--event", "x")
    assert len(text.lines) == 1 + 1 + command.MAX_VERDICTS + 1
    assert text.lines[-1] == "  … and 110 more verdicts"


def test_alarms_are_counted_up_to_a_number(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining_replay, "MAX_ALARMS", 5)
    opening = [event(f"e{n}", 0, LOGIN, src_ip=f"192.0.2.{n}") for n in range(9)]
    [found] = explain(*opening, options=AS_JSON).document["directives"]
    assert (found["opened"], found["alarms"]) == (9, 5)


def test_directives_are_shown_up_to_a_number(
    explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MAX_DIRECTIVES", 2)
    write_config([directive(id_, rule(1, LOGIN), rule(2, LOGIN_AGAIN)) for id_ in range(1, 4)])
    found = explain(event("a", 0, LOGIN), options=("--event", "a"))
    assert [line[:12] for line in found.lines[:2]] == ["1 directive ", "2 directive "]
    assert "1 more directive: --format json has all, --directive selects\n" in found.err
    assert len(explain.of("events.ndjson", *AS_JSON).document["directives"]) == 3
