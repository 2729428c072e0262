"""The replay command: its ledger adds up, and event time is the clock."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.replaying import (
    ASSETS,
    AT_START,
    BRUTE_FORCE,
    DENIED,
    DENIED_AGAIN,
    LOGIN,
    LOGIN_AGAIN,
    SCAN,
    Json,
    Replay,
    directive,
    event,
    ndjson,
    replaying,
    rule,
    write_config,
)

UNKNOWN = 999
"""A plugin_sid that no rule has."""


@pytest.fixture
def replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Replay]:
    yield from replaying(tmp_path, monkeypatch, capsys)


def test_the_ledger_counts_every_line_once_and_adds_up(replay: Replay) -> None:
    second_source = {"src_ip": "192.0.2.2"}
    result = replay(
        event("a", 0, LOGIN),  # opens
        event("a", 0, LOGIN),  # repeats the opening
        "",
        event("b", 10, LOGIN_AGAIN),  # taken
        " \t",
        event("b", 10, LOGIN_AGAIN),  # repeated
        event("c", 12, LOGIN_AGAIN, **second_source),  # concerns 1, which does not want it
        event("d", -9, LOGIN_AGAIN),  # out of order
        event("e", 13, DENIED),  # opens
        event("f", 14, DENIED_AGAIN, dst_port=80),  # taken
        event("g", 15, DENIED_AGAIN, dst_port=80),  # seen
        event("h", 16, LOGIN_AGAIN),  # taken, finishes
        event("i", 17, UNKNOWN),
        event("j", 18, UNKNOWN, dst_ip="?", src_port=-1, event_id=None),
        event("k", 19, LOGIN, src_ip="10.0.0.99"),  # whitelisted
        event("l", 20, LOGIN, src_ip="10.0.0.99", dst_ip="?", timestamp="?"),
        event("m", 21, UNKNOWN, src_ip="10.0.0.99"),  # unmatched comes first
        "no json",
        b"\xff",
        "[]",
        event("n", 22, LOGIN, plugin_id="x"),
        event("o", 23, LOGIN, plugin_id=None),
        event("p", 24, LOGIN, src_ip="?"),
        event("q", 25, LOGIN, src_ip=None),
        "x" * (1 << 20) + "x",
        event("r", 26, LOGIN, timestamp="yesterday"),
        event("s", 27, LOGIN, dst_ip="?"),
        event("t", 28, LOGIN, dst_ip=["10.0.0.1"]),
        event("u", 29, LOGIN, sensor=""),
        "{'event_id': 1}",
    )
    assert result.ledger == {
        "events": {
            "received": 28,
            "routed": 14,
            "unmatched": 3,
            "whitelisted": 2,
            "invalid": {
                "bad_json": 3,
                "bad_type": 2,
                "missing_field": 2,
                "bad_address": 1,
                "too_large": 1,
            },
        },
        "deliveries": {
            "sent": 14,
            "consumed": 9,
            "unmatched": 1,
            "invalid": {"bad_timestamp": 1, "bad_address": 1, "bad_type": 1, "missing_field": 1},
        },
        "outcomes": {
            "taken": 3,
            "opened": 2,
            "repeated": 2,
            "sticky_seen": 1,
            "out_of_order": 1,
        },
        "backlogs": {"opened": 2, "finished": 1, "open": 1},
    }
    assert result.summary["adds_up"] is True
    assert result.code == 0


def test_what_several_directives_make_of_an_event_is_one_delivery_and_many_outcomes(
    replay: Replay,
) -> None:
    write_config([directive(n, rule(1, LOGIN), rule(2, LOGIN_AGAIN)) for n in (1, 2, 3)])
    result = replay(event("a", 0, LOGIN), event("b", 1, LOGIN_AGAIN))
    assert result.ledger == {
        "events": {"received": 2, "routed": 2},
        "deliveries": {"sent": 2, "consumed": 2},
        "outcomes": {"opened": 3, "taken": 3},
        "backlogs": {"opened": 3, "finished": 3},
    }


def test_nothing_at_all(replay: Replay) -> None:
    result = replay()
    assert result.ledger == {"events": {}, "deliveries": {}, "outcomes": {}, "backlogs": {}}
    assert (result.code, result.alarms, result.alarm_events) == (0, [], [])


def test_the_files_hold_an_event_a_line_and_the_alarm_as_it_grows(replay: Replay) -> None:
    www = {"dst_ip": "10.0.0.80"}
    events = [("a", 0.9, LOGIN), ("b", 10, LOGIN_AGAIN), ("c", 20, LOGIN_AGAIN)]
    result = replay(*(event(*one, **www) for one in events))
    [alarm_id] = {line["alarm_id"] for line in result.alarms}
    assert result.alarm_events == [
        {"alarm_id": alarm_id, "stage": 1, "event_id": "a"},
        {"alarm_id": alarm_id, "stage": 2, "event_id": "b"},
        {"alarm_id": alarm_id, "stage": 2, "event_id": "c"},
    ]
    opened, finished = result.alarms
    assert (opened["risk"], opened["risk_class"]) == (5, "Medium")
    assert [record.get("status") for record in opened["rules"]] == ["finished", None]
    assert (finished["risk"], finished["risk_class"]) == (10, "High")
    assert [record["status"] for record in finished["rules"]] == ["finished", "finished"]
    assert [record["end_time"] for record in finished["rules"]] == [AT_START, AT_START + 20]
    assert finished["rules"][1]["from"] == "192.0.2.1"
    assert (finished["created_time"], finished["update_time"]) == (AT_START, AT_START + 20)
    assert finished["networks"] == ["10.0.0.0/8"]
    assert result.summary["alarms"] == {"High": 1, "Medium": 0, "Low": 0}
    assert result.summary["files"] == ["logs/siem_alarms.json", "logs/siem_alarm_events.json"]


def test_alarms_are_counted_once_by_what_they_were_in_the_end(replay: Replay) -> None:
    result = replay(
        event("a", 0, LOGIN, dst_ip="10.0.0.80"),
        event("b", 0, LOGIN, src_ip="192.0.2.2"),
        event("c", 0, LOGIN, src_ip="192.0.2.3", dst_ip="192.0.2.4"),
        event("d", 1, LOGIN_AGAIN, dst_ip="10.0.0.80"),
        event("e", 2, LOGIN_AGAIN),
    )
    assert result.ledger["backlogs"] == {"opened": 3, "finished": 1, "open": 2}
    assert result.summary["alarms"] == {"High": 1, "Medium": 0, "Low": 1}


def test_the_same_events_again_append_the_same_alarms(replay: Replay) -> None:
    events = [event("a", 0, LOGIN), event("b", 1, LOGIN_AGAIN), event("c", 2, LOGIN_AGAIN)]
    first = replay(*events)
    alarms, alarm_events = first.alarms, first.alarm_events
    again = replay(*events)
    assert again.alarms == alarms * 2
    assert again.alarm_events == alarm_events * 2
    elsewhere = replay(*events, options=["--node", "other"])
    ids = {alarm["alarm_id"] for alarm in elsewhere.alarms}
    assert len(ids) == 2
    assert all(len(alarm_id) == 9 for alarm_id in ids)


def test_the_folder_is_made(replay: Replay) -> None:
    result = replay(event("a", 0, LOGIN), options=["--log-dir", "new/folder/logs"])
    assert result.code == 0
    assert Path("new/folder/logs/siem_alarms.json").stat().st_size > 0
    assert not Path("logs").exists()


def test_a_torn_last_line_does_not_spoil_the_next(replay: Replay) -> None:
    Path("logs").mkdir()
    for name in ("siem_alarms.json", "siem_alarm_events.json"):
        Path("logs", name).write_bytes(b'{"whole": 1}\n{"torn": ')
    replay(event("a", 0, LOGIN))
    for name in ("siem_alarms.json", "siem_alarm_events.json"):
        content = Path("logs", name).read_bytes()
        assert content.endswith(b"\n")
        first, *_, last = content.splitlines()
        assert json.loads(first) == {"whole": 1}
        assert json.loads(last)["alarm_id"]


DRIVES: dict[str, Json] = {
    "an unmatched event": event("z", 61, UNKNOWN),
    "an unmatched event with much amiss": event("z", 61, UNKNOWN, dst_ip="?", event_id=5),
    "a whitelisted event": event("z", 61, LOGIN, src_ip="10.0.0.99"),
    "a matched event that nobody consumes": event("z", 61, DENIED_AGAIN),
    "an event that would continue": event("z", 61, LOGIN_AGAIN),
}
DOES_NOT_DRIVE: dict[str, Json | str] = {
    "too early by a second": event("z", 60, UNKNOWN),
    "too early by a fraction": event("z", 60.999, UNKNOWN),
    "no plugin": event("z", 1000, LOGIN, plugin_id=None),
    "a bad key address": event("z", 1000, UNKNOWN, src_ip="?"),
    "a bad address": event("z", 1000, LOGIN, dst_ip="?"),
    "a bad type": event("z", 1000, LOGIN, event_id=["z"]),
    "a missing field": event("z", 1000, LOGIN, event_id=""),
    "unmatched with a bad timestamp": event("z", 1000, UNKNOWN, timestamp="?"),
    "unmatched with a number as timestamp": event("z", 0, UNKNOWN, timestamp=9999999999),
    "unmatched without timestamp": event("z", 0, UNKNOWN, timestamp=None),
    "not JSON": json.dumps(event("z", 1000, UNKNOWN))[:-1],
}


@pytest.mark.parametrize("what", DRIVES)
def test_what_drives_the_clock(what: str, replay: Replay) -> None:
    result = replay(event("a", 0, LOGIN), DRIVES[what])
    assert result.ledger["backlogs"] == {"opened": 1, "expired": 1}
    assert [record.get("status") for record in result.alarms[-1]["rules"]] == [
        "finished",
        "timeout",
    ]
    assert result.alarms[-1]["update_time"] == AT_START


def test_an_event_that_only_let_another_time_out_was_not_consumed(replay: Replay) -> None:
    result = replay(event("a", 0, LOGIN), event("b", 61, LOGIN_AGAIN))
    assert result.ledger["deliveries"] == {"sent": 2, "consumed": 1, "unmatched": 1}


@pytest.mark.parametrize("what", DOES_NOT_DRIVE)
def test_what_does_not_drive_the_clock(what: str, replay: Replay) -> None:
    result = replay(event("a", 0, LOGIN), DOES_NOT_DRIVE[what])
    assert result.ledger["backlogs"] == {"opened": 1, "open": 1}


def test_the_clock_never_goes_back(replay: Replay) -> None:
    result = replay(
        event("x", 30, UNKNOWN),
        event("a", 0, LOGIN),
        event("b", 1, LOGIN_AGAIN),
        event("c", 2, LOGIN_AGAIN),
    )
    assert [alarm["update_time"] for alarm in result.alarms] == [AT_START + 30] * 2
    assert result.alarms[1]["rules"][1]["end_time"] == AT_START + 2


def test_at_the_end_what_has_expired_is_closed_and_the_rest_stays_open(replay: Replay) -> None:
    result = replay(
        event("z", 1000, UNKNOWN),
        event("a", 950, LOGIN),
        event("b", 0, LOGIN, src_ip="192.0.2.2"),
    )
    assert result.ledger["backlogs"] == {"opened": 2, "expired": 1, "open": 1}
    assert [record.get("status") for record in result.alarms[-1]["rules"]] == [
        "finished",
        "timeout",
    ]


def test_events_of_earlier_stages_are_published_once_a_second_and_at_the_end(
    replay: Replay,
) -> None:
    anywhere = {"from": "0.0.0.0/0"}
    rules = (rule(1, LOGIN, **anywhere), rule(2, LOGIN_AGAIN))
    write_config([directive(1, *rules, all_rules_always_active=True)])
    events = [event(f"e{n}", n / 10, LOGIN, src_ip=f"192.0.2.{n}") for n in range(25)]
    alarms = replay(*events, event("z", 2.6, UNKNOWN)).alarms
    assert [len(alarm["src_ips"]) for alarm in alarms] == [1, 10, 20, 25]
    assert [alarm["update_time"] - AT_START for alarm in alarms] == [0, 0, 1, 2]
    assert len(replay(*events[:2]).alarms) == len(alarms) + 2


def test_a_minimum_lifetime_is_in_minutes(replay: Replay) -> None:
    for seconds, fate in {120: "open", 121: "expired"}.items():
        last = event("z", seconds, UNKNOWN)
        result = replay(event("a", 0, LOGIN), last, options=["--min-alarm-lifetime", "1"])
        assert result.ledger["backlogs"] == {"opened": 1, fate: 1}


def test_settings_of_alarms_are_used(replay: Replay) -> None:
    options = ["--status", "New,Old", "--tags", "Tag,Other"]
    options += ["--med-risk-min", "2", "--med-risk-max", "9"]
    [alarm] = replay(event("a", 0, LOGIN), options=options).alarms
    assert (alarm["status"], alarm["tag"]) == ("New", "Tag")
    assert (alarm["risk"], alarm["risk_class"]) == (2, "Medium")


@pytest.mark.parametrize(("options", "opened"), [([], 2), (["--match-protocol"], 1)])
def test_the_protocol_is_compared_if_asked_for(
    options: list[str], opened: int, replay: Replay
) -> None:
    write_config([directive(1, rule(1, LOGIN, protocol="TCP"), rule(2, LOGIN_AGAIN))])
    events = [event(name, 0, LOGIN, protocol=name) for name in ("tcp", "udp")]
    assert replay(*events, options=options).ledger["backlogs"]["opened"] == opened


def test_faulty_config_is_1_with_every_line_and_nothing_is_replayed(replay: Replay) -> None:
    write_config([BRUTE_FORCE | {"priority": 9}, SCAN | {"id": 0}], [*ASSETS, {"name": "x"}])
    result = replay(event("a", 0, LOGIN))
    assert (result.code, result.out) == (1, "")
    lines = result.err.splitlines()
    assert [line.split(" ")[2][:-1] for line in lines[:-1]] == ["missing"] * 2 + [
        "out-of-range"
    ] * 2
    assert lines[-1] == "nothing was replayed: the config has faults"
    assert not Path("logs").exists()


def test_lenient_directives_go_on_without_the_faulty(replay: Replay) -> None:
    write_config([BRUTE_FORCE | {"priority": 9}, SCAN | {"name": ""}])
    events = [event("a", 0, LOGIN, dst_ip="10.0.0.80"), event("b", 0, DENIED)]
    result = replay(*events, options=["--lenient-directives"])
    assert result.code == 0
    assert result.ledger["events"] == {"received": 2, "routed": 1, "unmatched": 1}
    assert [alarm["risk"] for alarm in result.alarms] == [1]
    assert result.err.count(": warning ") == 2


def test_lenient_directives_run_as_in_dsiem(replay: Replay) -> None:
    """What Dsiem (Go) repairs without a word must still raise its alarm."""

    def without(item: dict[str, Any], name: str) -> dict[str, Any]:
        return {key: value for key, value in item.items() if key != name}

    first, second = rule(1, LOGIN), rule(2, LOGIN_AGAIN)
    directives = [
        without(directive(1, first, second), "priority"),
        directive(2, first, without(second, "occurrence")),
        directive(3, first, without(second, "reliability")),
        directive(4, without(first, "name"), second),
        directive(5, first, second | {"occurrence": 0}),
        directive(6, first, second | {"from": ":2"}),
        directive(7, first, second | {"from": ":3"}, rule(3, DENIED)),
        directive(8, first, second | {"from": ":3"}, rule(3, DENIED, **{"from": "192.0.2.0/24"})),
        directive(9, first, second | {"timeout": -1}),
        directive(10, first, second),
    ]
    write_config(directives)
    events = [event("a", 0, LOGIN), event("b", 1, LOGIN_AGAIN)]
    assert replay(*events).code == 1
    result = replay(*events, options=["--lenient-directives"])
    assert result.code == 0
    assert result.err.count(": warning ") == 9
    taken = Counter(line["alarm_id"] for line in result.alarm_events)
    assert result.ledger["backlogs"]["opened"] == len(directives)
    assert sorted(taken.values()) == [1, 1, *[2] * 8]


def test_disabled_directives_concern_nothing(replay: Replay) -> None:
    write_config([BRUTE_FORCE, SCAN | {"disabled": True}])
    result = replay(event("a", 0, DENIED))
    assert result.ledger["events"] == {"received": 1, "unmatched": 1}
    assert "warning disabled" in result.err


NO_PATH: list[tuple[list[str], str]] = [
    (["none.ndjson"], "none.ndjson cannot be read: No such file or directory"),
    (["conf"], "conf cannot be read: Is a directory"),
    (["events.ndjson", "--config-dir", "none"], "none is missing"),
    (["events.ndjson", "--config-dir", "events.ndjson"], "events.ndjson is not a folder"),
    (["events.ndjson", "--config-dir", "empty"], "empty holds no config, must hold "),
    (["events.ndjson", "--log-dir", "events.ndjson"], "events.ndjson: File exists"),
    (["events.ndjson", "--log-dir", "events.ndjson/x"], "events.ndjson/x: Not a directory"),
    (["events.ndjson", "--log-dir", "taken"], "taken/siem_alarms.json: Is a directory"),
]


@pytest.mark.parametrize(("arguments", "message"), NO_PATH)
def test_a_path_that_is_missing_or_unfit_is_2(
    arguments: list[str], message: str, replay: Replay
) -> None:
    Path("events.ndjson").touch()
    Path("empty").mkdir()
    Path("taken/siem_alarms.json").mkdir(parents=True)
    result = replay.of(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(message)
    assert result.err.count("\n") == 1


def test_broken_lines_are_logged_briefly_and_harmlessly(replay: Replay) -> None:
    hostile = b'{"a": "\x1b[2J\x00\x07\r\xc2\x9b\xe2\x80\xae' + b"A" * 5000
    result = replay(hostile, *[hostile] * 400, b"[" + hostile, options=["--json"])
    assert result.ledger["events"] == {"received": 402, "invalid": {"bad_json": 402}}
    records = [json.loads(line) for line in result.err.splitlines()]
    shown = [record["event"] for record in records if "event" in record]
    assert len(shown) == 5
    assert all(text.isprintable() and len(text.encode()) <= 200 for text in shown)
    assert sum(record.get("suppressed", 0) for record in records) == 402 - 5
    assert all(line.isprintable() for line in result.err.split("\n"))


def test_broken_lines_do_not_stop_the_others(replay: Replay) -> None:
    junk: list[Json | str] = ["{", "\0", "[" * 100_000, '{"a":' * 100_000, "9" * 5000]
    events = [event("a", 0, LOGIN), event("b", 1, LOGIN_AGAIN), event("c", 2, LOGIN_AGAIN)]
    mixed: list[Json | str] = [line for one in events for line in (*junk, one)]
    assert replay(*mixed).ledger["backlogs"] == {"opened": 1, "finished": 1}


def test_a_cut_gzip_file_is_1_and_what_could_be_read_counts(replay: Replay) -> None:
    whole = gzip.compress(ndjson(*(event(str(n), n, LOGIN) for n in range(5000))))
    Path("cut.gz").write_bytes(whole[: len(whole) // 2])
    Path("after").write_bytes(ndjson(event("x", 9000, UNKNOWN)))
    result = replay.of("cut.gz", "after")
    assert result.code == 1
    assert "stopped: cut.gz cannot be read to its end" in result.err
    received = result.ledger["events"]["received"]
    assert 1000 < received < 5000
    assert len(result.alarm_events) == result.ledger["outcomes"]["opened"] == received
    assert result.summary["adds_up"] is True


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_at_the_end_of_the_calendar_are_no_traceback(timestamp: str, replay: Replay) -> None:
    odd = event("a", 0, LOGIN, timestamp=timestamp)
    result = replay(odd, options=["--format", "text", "--alarms"])
    assert result.code == 0
    assert "directive 1" in result.out


def test_the_text_summary_has_the_same_counts_and_interprets_no_markup(replay: Replay) -> None:
    write_config([directive(1, rule(1, LOGIN), rule(2, LOGIN_AGAIN), name="[red]\x1b[2J SRC_IP")])
    lines: list[Any] = [event("a", 0, LOGIN), event("b", 1, UNKNOWN), "{"]
    result = replay(*lines, options=["--format", "text", "--alarms", "--log-dir", "[bold]logs"])
    text = " ".join(result.out.split())
    assert "[red]\\x1b[2J 192.0.2.1" in text
    assert "events received 3 1 routed, 1 unmatched, 1 invalid bad_json" in text
    assert "delivered 1 1 consumed" in text
    assert "backlogs opened 1 0 finished, 0 expired, 0 averted, 1 open" in text
    assert "[bold]logs/siem_alarms.json" in text
    assert "NOT ACCOUNTED FOR" not in text
    assert "\x1b" not in result.out
    assert max(map(len, result.out.splitlines())) <= 80
