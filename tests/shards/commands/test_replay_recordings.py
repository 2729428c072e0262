"""Recordings as people have them: several files, any order, documents, arrays, wrong clocks."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.replaying import (
    LOGIN,
    LOGIN_AGAIN,
    Json,
    Replay,
    event,
    ndjson,
    replaying,
)
from tests.support.zstandard import zstd

UNKNOWN = 999
"""A plugin_sid that no rule has."""
STORY = [event("a", 0, LOGIN), event("b", 5, LOGIN_AGAIN), event("c", 10, LOGIN_AGAIN)]
FINISHED = {"opened": 1, "finished": 1}
NEXT_YEAR = "2026-03-04T08:00:00Z"


@pytest.fixture
def replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Replay]:
    yield from replaying(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("names", [("1", "2.gz", "3.zst"), ("3.zst", "2.gz", "1")])
def test_several_files_are_merged_by_time(names: tuple[str, ...], replay: Replay) -> None:
    Path("1").write_bytes(ndjson(STORY[0]))
    Path("2.gz").write_bytes(gzip.compress(ndjson(STORY[1])))
    Path("3.zst").write_bytes(zstd.compress(ndjson(STORY[2]).rstrip()))
    result = replay.of(*names)
    assert (result.code, result.err) == (0, "")
    assert result.ledger["backlogs"] == FINISHED


def test_a_file_for_each_source_gives_the_alarms_of_both(replay: Replay) -> None:
    sources: list[list[Json]] = [[], []]
    for number in range(20):
        address = {"src_ip": f"192.0.2.{number}"}
        start = 60 * number
        sources[0].append(event(f"a{number}", start, LOGIN, **address))
        sources[1].append(event(f"b{number}", start + 5, LOGIN_AGAIN, **address))
        sources[1].append(event(f"c{number}", start + 6, LOGIN_AGAIN, **address))
    for name, events in zip(("fw", "ad"), sources, strict=True):
        Path(name).write_bytes(ndjson(*events))
    for names in (("fw", "ad"), ("ad", "fw")):
        result = replay.of(*names)
        assert result.ledger["backlogs"] == {"opened": 20, "finished": 20}
        assert result.err == ""


def test_the_newest_events_first_are_noticed_and_can_be_sorted(replay: Replay) -> None:
    minutes = [event(f"x{n}", 60 * n, UNKNOWN) for n in range(1, 20)]
    Path("newest").write_bytes(ndjson(*reversed(STORY + minutes)))
    result = replay.of("newest")
    assert result.code == 0
    assert result.err.startswith("newest events first: newest. ")
    assert "--sort" in result.err
    assert "finished" not in result.ledger["backlogs"]
    in_order = replay.of("newest", "--sort")
    assert in_order.err == ""
    assert in_order.ledger["backlogs"] == FINISHED


def test_one_late_event_is_one_event(replay: Replay) -> None:
    before = [event(f"x{n}", 300 + n, UNKNOWN) for n in range(9)]
    result = replay(*before, event("y", 0, UNKNOWN), event("z", 310, UNKNOWN))
    assert "1 event came late, up to 0:05:08 behind the clock, the first one at " in result.err
    assert "events.ndjson, line 10: what they open" in result.err


def test_unsorted_input_is_noticed_and_can_be_sorted(replay: Replay) -> None:
    others = [event(f"x{n}", 300 + n, UNKNOWN) for n in range(10)]
    late = [*others[:9], STORY[0], others[9], *STORY[1:]]
    result = replay(*late)
    assert "3 events came late, up to 0:05:08 behind the clock" in result.err
    assert result.err.endswith("Is the input sorted by timestamp? --sort sorts it.\n")
    in_order = replay(*late, options=["--sort"])
    assert in_order.err == ""
    assert in_order.ledger["backlogs"] == FINISHED


FORMS = {
    "an array": json.dumps(STORY),
    "a pretty array": json.dumps(STORY, indent=2),
    "a byte order mark": "\ufeff" + "\n".join(map(json.dumps, STORY)),
    "no line breaks": "".join(map(json.dumps, STORY)),
    "pretty": "\n".join(json.dumps(one, indent=4) for one in STORY),
    "pretty without line breaks": "".join(json.dumps(one, indent="\t") for one in STORY),
    "documents": "\n".join(json.dumps({"_index": "i", "_source": one}) for one in STORY),
    "an array of documents": json.dumps([{"_index": "i", "_source": one} for one in STORY]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_recording_gives_the_same_alarms(form: str, replay: Replay) -> None:
    expected = replay(*STORY).alarms
    Path("logs/siem_alarms.json").unlink()
    Path("recording").write_text(FORMS[form])
    result = replay.of("recording")
    assert (result.code, result.err) == (0, "")
    assert result.ledger["events"] == {"received": 3, "routed": 3}
    assert result.alarms == expected


def test_an_array_beyond_the_limit_of_a_request_is_read(replay: Replay) -> None:
    padding = {"message": "x" * 900_000}
    more = [event(f"x{n}", 20 + n, UNKNOWN) | padding for n in range(20)]
    Path("array").write_text(json.dumps([one | padding for one in STORY] + more))
    assert Path("array").stat().st_size > 16 << 20
    result = replay.of("array")
    assert result.ledger["events"] == {"received": 23, "routed": 3, "unmatched": 20}
    assert result.ledger["backlogs"] == FINISHED


@pytest.mark.parametrize("options", [[], ["--sort"]])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("what", [{"plugin_id": 77}, {"plugin_sid": LOGIN, "src_ip": "10.0.0.99"}])
def test_one_wrong_clock_times_nothing_out(
    what: Json, place: int, options: list[str], replay: Replay
) -> None:
    wrong = event("w", 0, UNKNOWN, timestamp=NEXT_YEAR) | what
    for story in (STORY, STORY[:2]):
        events = [*story[:place], wrong, *story[place:]]
        result = replay(*events, options=options)
        assert result.ledger["backlogs"] == {
            "opened": 1,
            "finished" if story is STORY else "open": 1,
        }
        assert result.summary["ledger"]["from_future"] == 1
        assert result.err == (
            "events more than 60 s ahead of those around them (--max-future): 1. "
            "They got the time of the clock. Unsorted input needs --sort.\n"
        )


def test_a_wrong_clock_in_one_of_several_files_holds_nothing_up(replay: Replay) -> None:
    wrong = event("w", 0, UNKNOWN, timestamp=NEXT_YEAR)
    Path("fw").write_bytes(ndjson(wrong, STORY[0], event("x", 20, UNKNOWN)))
    Path("ad").write_bytes(ndjson(*STORY[1:], event("y", 21, UNKNOWN)))
    result = replay.of("fw", "ad")
    assert result.ledger["backlogs"] == FINISHED
    assert result.summary["ledger"]["from_future"] == 1


def test_an_event_with_a_wrong_clock_is_taken_at_the_time_of_the_clock(replay: Replay) -> None:
    wrong = event("b", 0, LOGIN_AGAIN, timestamp=NEXT_YEAR)
    result = replay(STORY[0], event("x", 3, UNKNOWN), wrong, STORY[2], event("y", 11, UNKNOWN))
    assert result.ledger["backlogs"] == FINISHED
    start, end = (result.alarms[-1]["rules"][1][name] for name in ("start_time", "end_time"))
    assert end - start == 10


def test_a_night_without_events_is_no_wrong_clock(replay: Replay) -> None:
    night = 10 * 3600
    morning = [event(f"x{n}", night + n, UNKNOWN) for n in range(3)]
    result = replay(*STORY[:2], *morning)
    assert result.ledger["backlogs"] == {"opened": 1, "expired": 1}
    assert result.summary["ledger"]["from_future"] == 0


def test_without_max_future_there_is_no_limit(replay: Replay) -> None:
    wrong = event("w", 0, UNKNOWN, timestamp=NEXT_YEAR)
    result = replay(STORY[0], wrong, STORY[1], options=["--max-future", "0"])
    assert result.ledger["backlogs"] == {"opened": 1, "expired": 1}
    assert result.summary["ledger"]["from_future"] == 0


def test_what_cannot_be_read_is_logged_with_its_place(replay: Replay) -> None:
    Path("a.json").write_text(json.dumps([STORY[0], 7, STORY[1]]))
    Path("b.ndjson").write_bytes(ndjson(STORY[2], "", "broken") + ndjson({"_source": {}}))
    result = replay.of("a.json", "b.ndjson", "--json")
    records = [json.loads(line) for line in result.err.splitlines()]
    column = len(json.dumps(STORY[0])) + 4
    assert sorted((record["place"], record["reason"]) for record in records) == [
        (f"a.json, line 1, column {column}", "bad_type"),
        ("b.ndjson, line 3", "bad_json"),
        ("b.ndjson, line 4", "missing_field"),
    ]
    assert result.ledger["events"] == {
        "received": 6,
        "routed": 3,
        "invalid": {"bad_json": 1, "bad_type": 1, "missing_field": 1},
    }
