"""The stats command on a small config: each fate of a directive, and what none is for."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.commands.stats_summary import MAX_ROWS
from shards.unmatched_events import MAX_SIGNATURES
from tests.support.commands import Ran, Run, lines_with, write_events
from tests.support.replaying import (
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

ABSENT, SILENT, NARROW = 990, 991, 992
"""Plugin_sids: of no event, of a directive of risk 0, of one whose conditions match nothing."""
DIRECTIVES = [
    BRUTE_FORCE,
    SCAN,
    directive(3, rule(1, ABSENT), rule(2, ABSENT)),
    directive(4, rule(1, SILENT, reliability=0), rule(2, SILENT, occurrence=3, reliability=0)),
    directive(5, rule(1, NARROW, **{"from": "10.0.0.1"}), rule(2, NARROW)),
]
STORY: list[Json | str | bytes] = [
    event("a", 0, LOGIN),
    event("b", 1, LOGIN_AGAIN),
    event("c", 2, LOGIN_AGAIN),
    event("d", 3, LOGIN, src_ip="192.0.2.2"),
    event("e", 4, DENIED),
    event("f", 5, SILENT),
    event("g", 6, SILENT),
    event("h", 7, NARROW),
    event("i", 8, 999, title="t", product="p", category="c"),
    event("j", 9, 999, title="t"),
    event("k", 10, 998),
    event("l", 11, LOGIN, src_ip="10.0.0.99"),
    "no json",
]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    for _ in replaying(tmp_path, monkeypatch, capsys):
        write_config(DIRECTIVES)
        write_events(*STORY)
        yield Run(capsys)


def stats(run: Run, *options: str, events: str = "events.ndjson") -> Ran:
    return run("stats", "--config-dir", "conf", events, *options)


def row(document: Json, directive_id: int) -> Json:
    found: list[Json] = [row for row in document["directives"] if row["id"] == directive_id]
    return found[0]


def counts(alarms: tuple[int, int, int], *more: int) -> Json:
    names = ("concerned_events", "events", "opened", "furthest_stage", "stages")
    classes = zip(("High", "Medium", "Low"), alarms, strict=True)
    return dict(zip(names, more, strict=True)) | {"alarms": dict(classes)}


def test_each_directive_is_counted(run: Run) -> None:
    ran = stats(run, "--format", "json")
    assert ran.code == 0
    expected = {
        1: counts((0, 1, 1), 5, 4, 2, 2, 2),
        2: counts((0, 0, 1), 1, 1, 1, 1, 2),
        3: counts((0, 0, 0), 0, 0, 0, 0, 2),
        4: counts((0, 0, 0), 2, 2, 1, 2, 2),
        5: counts((0, 0, 0), 1, 0, 0, 0, 2),
    }
    for id_, numbers in expected.items():
        assert row(ran.document, id_) == {"id": id_, "name": f"directive {id_}"} | numbers
    assert ran.document["never_matched"] == [5, 3]
    assert ran.document["without_alarm"] == [4]


def test_events_that_no_directive_is_for_are_listed(run: Run) -> None:
    document = stats(run, "--format", "json").document
    unmatched = document["unmatched"]
    first, second = unmatched["signatures"]
    assert first == {
        "plugin_id": 1001,
        "plugin_sid": 999,
        "product": "p",
        "category": "c",
        "title": "t",
        "events": 2,
    }
    assert (second["plugin_sid"], second["title"], second["events"]) == (998, "", 1)
    assert (unmatched["events"], unmatched["other_events"]) == (3, 0)


def test_the_ledger_is_that_of_replay(run: Run) -> None:
    document = stats(run, "--format", "json").document
    folders = ("--config-dir", "conf", "--log-dir", "out")
    replay = run("replay", *folders, "events.ndjson", "--format", "json")
    assert document["ledger"] == replay.document["ledger"]
    assert document["adds_up"] is True
    alarms = [row["alarms"] for row in document["directives"]]
    totals = {name: sum(row[name] for row in alarms) for name in ("High", "Medium", "Low")}
    assert totals == replay.document["alarms"]
    assert sum(row["opened"] for row in document["directives"]) == 4
    assert not Path("logs").exists()


def test_text_has_a_table_for_each_fate(run: Run) -> None:
    out = stats(run).out
    with_alarms, _, rest = out.partition("Matched, but no alarm: the risk was 0")
    silent, _, rest = rest.partition("Never matched")
    never, _, unmatched = rest.partition("Events that no directive is for")
    assert lines_with(with_alarms, ["1 directive 1", "4", "2", "2/2", "0", "1", "1"])
    assert lines_with(with_alarms, ["2 directive 2", "1/2"])
    assert lines_with(silent, ["4 directive 4", "2/2"])
    assert lines_with(never, ["5 directive 5", " 1 "])
    assert lines_with(never, ["3 directive 3", " 0 "])
    assert lines_with(unmatched, ["1001:999", "t", "p, c", "2"])
    assert "most events: 4 by 1 (57 %), 2 by 4 (28 %), 1 by 2 (14 %)\n" in out
    assert "most alarms: 2 by 1 (66 %), 1 by 2 (33 %)\n" in out
    assert out.endswith(
        "5 directives: 2 with alarms, 1 matched without an alarm, 2 never matched; 13 events, "
        "3 that no directive is for\n"
    )


def test_rows_are_bounded_unless_all_are_wanted(run: Run) -> None:
    write_events(*(event(f"e{n}", n, 10_000 + n) for n in range(MAX_ROWS + 7)))
    out = stats(run).out
    assert len(lines_with(out, ["1001:10"])) == MAX_ROWS
    assert "… and 7 more: --all shows them" in out
    out = stats(run, "--all").out
    assert len(lines_with(out, ["1001:10"])) == MAX_ROWS + 7
    assert "more" not in out


def test_signatures_beyond_the_limit_are_counted_together(run: Run) -> None:
    write_events(*(event(f"e{n}", 0, 10_000 + n) for n in range(MAX_SIGNATURES + 100)))
    ran = stats(run, "--format", "json")
    assert len(ran.document["unmatched"]["signatures"]) == MAX_SIGNATURES
    assert ran.document["unmatched"]["other_events"] == 100
    assert "100 events of signatures that were too many to keep" in stats(run).out


def test_hostile_texts_stay_harmless(run: Run) -> None:
    hostile = "[red]\x1b[2J\u202e\n" * 1000
    write_config([BRUTE_FORCE | {"name": hostile}])
    write_events(
        event("a", 0, 999, title=hostile, product=hostile, category=hostile),
        event("b", 0, 0, plugin_id=0, title=hostile, product=hostile, category=hostile),
        event("c", 0, LOGIN),
    )
    out = stats(run).out
    assert all(line.isprintable() for line in out.splitlines())
    assert len(out) < 6000
    assert "[red]" in out


def test_standard_input_is_read(run: Run) -> None:
    ran = run.piped(ndjson(*STORY), "stats", "--config-dir", "conf", "-", "--format", "json")
    assert ran.document["events"] == len(STORY)


def test_invalid_events_are_logged_with_their_place(run: Run) -> None:
    assert "events.ndjson, line 13" in stats(run).err


def test_a_damaged_file_gives_what_could_be_read_and_1(run: Run) -> None:
    Path("cut.gz").write_bytes(gzip.compress(ndjson(*STORY[:-1] * 100))[:-20])
    ran = stats(run, "--format", "json", events="cut.gz")
    assert ran.code == 1
    assert ran.err.startswith("stopped: cut.gz cannot be read to its end: ")
    assert ran.document["warnings"][0].startswith("stopped: cut.gz")


def test_faulty_config_is_1_and_nothing_is_counted(run: Run) -> None:
    write_config([BRUTE_FORCE | {"priority": 9}])
    ran = stats(run)
    assert (ran.code, ran.out) == (1, "")
    fault, last = ran.err.splitlines()
    assert fault.startswith("conf/directives_a.json:1:")
    assert last == "nothing was counted: the config has faults"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none cannot be read: No such file or directory"),
        (["events.ndjson", "--config-dir", "none"], "none is missing"),
    ],
)
def test_a_missing_path_is_2(arguments: list[str], message: str, run: Run) -> None:
    ran = run("stats", *arguments)
    assert (ran.code, ran.out, ran.err) == (2, "", f"{message}\n")


def test_no_events_are_wrong_usage(run: Run) -> None:
    assert run("stats", "--config-dir", "conf").code == 3
