"""The JSON document of /status, whose keys other programs rely on."""

import json
from pathlib import Path
from typing import Any

import msgspec

from shards.ledger import Events, Ledger
from shards.ops.overview import Overview
from shards.ops.status_document import status_document
from tests.support.overviews import (
    FAULT,
    live_stats,
    overview,
    process_status,
    reload_outcome,
    shard_status,
)


def document(of: Overview) -> Any:
    return json.loads(msgspec.json.encode(status_document(of)))


def test_the_keys_are_those_that_programs_rely_on() -> None:
    status = document(overview())
    assert list(status) == [
        "version",
        "time",
        "uptime_seconds",
        "ready",
        "missing",
        "stuck",
        "warnings",
        "events_per_second",
        "config",
        "router",
        "stream",
        "shards",
        "output",
        "matches",
        "stats",
        "checkpoint",
        "ledger",
        "settings",
        "alarms",
    ]
    assert status["config"] == {
        "hash": "abc",
        "generation": 1,
        "time": 1_700_000_000.0,
        "directives": 3,
        "rejected": 0,
        "last_reload": None,
    }
    assert status["output"] == {"trouble": "", "errors": 0}
    assert status["checkpoint"] == {"time": 0.0}


def test_matches_by_directive_are_in_it_if_they_are_counted() -> None:
    assert document(overview())["matches"] is None
    assert document(overview(stats=live_stats()))["matches"] == {"7": 5}


def test_stats_are_in_it_if_they_are_counted() -> None:
    assert document(overview())["stats"] is None
    ledger = Ledger(events=Events(unmatched=3))
    stats = document(overview(stats=live_stats(), ledger=ledger))["stats"]
    alarms = {"High": 1, "Medium": 0, "Low": 0}
    row = {"id": 7, "events": 5, "opened": 2, "furthest_stage": 1, "alarms": alarms}
    assert stats == {
        "directives": [row],
        "never_matched": [8],
        "without_alarm": [],
        "unmatched": {"events": 3, "signatures": [], "other_events": 3},
    }


def test_problems_are_in_it() -> None:
    healthy = document(overview())
    assert (healthy["ready"], healthy["missing"], healthy["stuck"]) == (True, [], [])
    stopping = document(
        overview(stopping=True, router=process_status("router", silent_seconds=70.0))
    )
    assert stopping["ready"] is False
    assert stopping["missing"] == ["it is stopping", "router has not reported for 70 s"]
    assert stopping["stuck"] == ["router has not reported for 70 s"]


def test_the_last_reload_is_in_it_and_a_failed_one_is_a_warning() -> None:
    status = document(overview(config_generation=2, last_reload=reload_outcome(generation=2)))
    assert status["config"]["generation"] == status["config"]["last_reload"]["generation"] == 2
    assert status["warnings"] == []
    failed = reload_outcome(successful=False, problems=[FAULT])
    status = document(overview(last_reload=failed))
    assert status["config"]["last_reload"]["problems"] == [FAULT]
    assert (status["ready"], status["warnings"]) == (True, [failed.trouble])


def test_a_shard_has_its_load_and_the_state_of_its_process() -> None:
    status = document(
        overview(
            workers=[
                process_status("worker-0"),
                process_status("worker-1", ready=False, restarts=2, silent_seconds=1.26),
            ],
            shards=[shard_status(0), shard_status(1, queue=7, events_per_second=1.5)],
        )
    )
    assert status["router"] == {"up": True, "ready": True, "restarts": 0, "connected": True}
    assert [shard["ready"] for shard in status["shards"]] == [True, False]
    assert status["shards"][1] == {
        **dict.fromkeys(("consumed", "unmatched", "invalid"), 0),
        "worker": 1,
        "directives": 3,
        "active_directives": 0,
        "backlogs": 0,
        "queue": 7,
        "queue_capacity": 100,
        "events_per_second": 1.5,
        "has_pipe": True,
        "up": True,
        "ready": False,
        "restarts": 2,
        "silent_seconds": 1.3,
    }


def test_the_ledger_shows_whether_it_adds_up() -> None:
    exact, inexact = Events(received=2, routed=2), Events(received=2, routed=1)
    for events, adds_up in ((exact, True), (inexact, False)):
        ledger = document(overview(ledger=Ledger(events=events)))["ledger"]
        assert ledger["events"]["routed"] == events.routed
        assert ledger["adds_up"] is adds_up


def test_paths_of_settings_are_text() -> None:
    settings = {"log_dir": Path("/var/log"), "workers": 2, "node": None}
    shown = document(overview(settings=settings))["settings"]
    assert shown == {"log_dir": "/var/log", "workers": 2, "node": None}


def test_the_newest_alarm_comes_first() -> None:
    status = document(overview(latest_alarms=(b'{"alarm_id":"old"}', b'{"alarm_id":"new"}')))
    assert [alarm["alarm_id"] for alarm in status["alarms"]] == ["new", "old"]
