"""Recovery of open backlogs after kills, stops, full disks and unusable files."""

import json
import os
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import (
    ENDS,
    GOES_ON,
    OPENS,
    backend,
    frontend_of,
    pair_directive,
    pair_event,
    publish,
)
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer
from tests.support.replaying import Json
from tests.support.serving import Service, directives_of, serving, wait_until, write_config

FIRST, SECOND = directives_of(0, 2, 1)[0], directives_of(1, 2, 1)[0]
"""One directive for each of two workers."""
SOON = ("--checkpoint-interval", "1")
NEVER = ("--checkpoint-interval", "0")
MANY = 2500
"""Backlogs of each directive."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, map(pair_directive, (FIRST, SECOND)))
    return tmp_path


def events(name: str, does: int, number: int, first: int = 0) -> list[Json]:
    """One event for each of `number` source addresses and each of both directives."""
    return [
        pair_event(f"{name}{id_}-", id_, does, n)
        for n in range(first, first + number)
        for id_ in (FIRST, SECOND)
    ]


def post(service: Service, *more: Json) -> int:
    """Post events, and wait for the alarm event line of each; returns the number of lines."""
    before = service.lines()
    for at in range(0, len(more), 1000):
        assert service.post(more[at : at + 1000]).accepted == len(more[at : at + 1000])
    service.wait_for_lines(before + len(more))
    return before + len(more)


def rows(folder: Path) -> dict[tuple[int, str], Json]:
    """All backlogs in the checkpoint, by directive and opening event."""
    [file] = (folder / "logs/backlogs").glob("checkpoint*.sqlite")
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT directive, opened_by, state FROM backlog").fetchall()
    return {(directive, opened_by): json.loads(state) for directive, opened_by, state in found}


def wait_for_rows(folder: Path, number: int, stage: int = 2, ids: int = 0) -> None:
    """Wait for a checkpoint of `number` backlogs, all at `stage` and with `ids` events."""

    def there() -> bool:
        found = rows(folder).values()
        return len(found) == number and all(
            len(state["starts"]) == stage and len(state.get("ids", ())) == ids for state in found
        )

    wait_until(there, f"{number} backlogs in the checkpoint")


def saved(folder: Path) -> dict[str, Any]:
    """The saved files, by name."""
    files = (folder / "logs/backlogs").glob("*.json")
    return {file.name: json.loads(file.read_bytes()) for file in files}


def finished(service: Service) -> set[str]:
    """The ids of alarms with their last stage finished."""
    return {
        alarm["alarm_id"]
        for alarm in service.alarms()
        if alarm["rules"][-1].get("status") == "finished"
    }


def opened_alarms(service: Service) -> set[str]:
    """The ids of alarms that have an alarm event at stage 1."""
    lines = (service.logs / "siem_alarm_events.json").read_bytes().splitlines()
    return {line["alarm_id"] for line in map(json.loads, lines) if line["stage"] == 1}


# Killed.


def test_a_worker_killed_with_5000_open_backlogs_restores_all_of_them(folder: Path) -> None:
    with serving(folder, *SOON) as service:
        post(service, *events("open", OPENS, MANY))
        post(service, *events("a", GOES_ON, MANY))
        wait_for_rows(folder, 2 * MANY, ids=1)
        os.kill(service.workers[0], signal.SIGKILL)
        service.wait_for_log("backlogs restored", backlogs=MANY)
        post(service, *events("b", GOES_ON, MANY))
        post(service, *events("end", ENDS, MANY))
        ended = service.stop()
        assert ended.code == 0
        ledger = ended.ledger
        ledger.check()
        assert ledger["backlogs_opened"] == ledger["backlogs_finished"] == 2 * MANY
        assert ledger["backlogs_restored"] == ledger["backlogs_interrupted"] == 0
        assert ledger["rolled_back"] == 0
        assert finished(service) == opened_alarms(service)
        assert len(finished(service)) == 2 * MANY


def test_what_a_worker_did_since_its_checkpoint_is_delivered_again(folder: Path) -> None:
    with serving(folder, "--checkpoint-interval", "2") as service:
        post(service, *events("open", OPENS, 100))
        wait_for_rows(folder, 200)
        post(service, *events("a", GOES_ON, 30))
        was_saved = sum(bool(state.get("ids")) for state in rows(folder).values())
        os.kill(service.workers[0], signal.SIGKILL)
        service.wait_for_log("backlogs restored", backlogs=100)
        ended = service.stop()
        ended.ledger.check()
        assert ended.ledger["rolled_back"] == ended.ledger["backlogs_restored"] == 0
        assert ended.ledger["deliveries_redelivered"] in ((0, 30) if was_saved else (30,))
        assert ended.ledger["outcomes_taken"] == 60
        assert service.lines() == 260, "none twice"


def test_without_checkpoints_a_worker_restarts_without_backlogs(folder: Path) -> None:
    with serving(folder, *NEVER) as service:
        post(service, *events("open", OPENS, 50))
        os.kill(service.workers[0], signal.SIGKILL)
        service.wait_for_children(3, gone=service.workers[0])
        post(service, *events("again", OPENS, 50))
        ended = service.stop()
        ended.ledger.check()
        assert ended.ledger["backlogs_restored"] == 0
        assert ended.ledger["backlogs_interrupted"] == ended.ledger["rolled_back"] == 50
        assert len(saved(folder)[f"{FIRST}.json"]) == 50
        assert len(saved(folder)[f"{SECOND}.json"]) == 100


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_service_killed_with_5000_open_backlogs_restores_all_of_them(
    folder: Path, workers: int
) -> None:
    """With any number of workers."""
    with serving(folder, *SOON) as service:
        post(service, *events("open", OPENS, MANY))
        post(service, *events("a", GOES_ON, MANY))
        wait_for_rows(folder, 2 * MANY, ids=1)
        service.send_signal(signal.SIGKILL)
        service.wait_until_gone(5)
    with serving(folder, *SOON, workers=workers) as again:
        post(again, *events("b", GOES_ON, MANY))
        post(again, *events("end", ENDS, MANY))
        ended = again.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger["backlogs_restored"] == ended.ledger["backlogs_finished"] == 2 * MANY
        assert finished(again) == opened_alarms(again)
        assert len(finished(again)) == 2 * MANY
    assert rows(folder) == {}
    assert saved(folder) == {}


def test_repeated_kills_lose_no_backlog_that_was_checkpointed(folder: Path) -> None:
    made = 0
    for life in range(4):
        with serving(folder, *SOON) as service:
            post(service, *events("open", OPENS, 300, made))
            made += 300
            wait_for_rows(folder, 2 * made)
            victims = [service.process.pid] if life % 2 else service.workers
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            if life % 2:
                service.wait_until_gone(5)
            else:
                service.wait_for_log("backlogs restored", 4 if life else 2)
                assert service.stop().code == 0
    with serving(folder, *SOON) as service:
        ended = service.stop()
        assert ended.ledger["backlogs_restored"] == 2 * made


# Stopped.


def test_a_stop_and_a_start_with_another_number_of_workers_change_nothing(folder: Path) -> None:
    with serving(folder) as service:
        post(service, *events("open", OPENS, 200))
        post(service, *events("a", GOES_ON, 120))
        post(service, *events("b", GOES_ON, 60))
        assert service.stop().code == 0
    in_files, in_rows = saved(folder), rows(folder)
    assert {name: len(alarms) for name, alarms in in_files.items()} == {
        f"{FIRST}.json": 200,
        f"{SECOND}.json": 200,
    }
    for workers in (3, 1):
        with serving(folder, workers=workers) as service:
            wait_until(lambda: not saved(folder), "the files are taken up")
            ended = service.stop()
            assert ended.code == 0
            ended.ledger.check()
            assert ended.ledger["backlogs_restored"] == 400
        assert saved(folder) == in_files
        assert rows(folder) == in_rows


def test_without_checkpoints_a_stop_saves_exactly_the_open_backlogs(folder: Path) -> None:
    def left() -> dict[str, int]:
        return {name: len(alarms) for name, alarms in saved(folder).items()}

    with serving(folder, *NEVER) as service:
        post(service, *events("open", OPENS, 5))
        assert service.stop().code == 0
    assert left() == {f"{FIRST}.json": 5, f"{SECOND}.json": 5}
    assert len(rows(folder)) == 10
    with serving(folder, *NEVER) as service:
        post(service, *events("a", GOES_ON, 3), *events("b", GOES_ON, 3), *events("end", ENDS, 3))
        post(service, *events("new", OPENS, 1, first=50))
        assert service.stop().ledger["backlogs_finished"] == 6
    assert left() == {f"{FIRST}.json": 3, f"{SECOND}.json": 3}
    assert len(rows(folder)) == 6


@pytest.mark.parametrize("without", ["checkpoint", "files"])
def test_the_checkpoint_or_the_saved_files_alone_are_enough(folder: Path, without: str) -> None:
    with serving(folder) as service:
        post(service, *events("open", OPENS, 50))
        post(service, *events("a", GOES_ON, 50))
        assert service.stop().code == 0
    in_files = saved(folder)
    if without == "checkpoint":
        for file in (folder / "logs/backlogs").glob("checkpoint*"):
            file.unlink()
    with serving(folder) as service:
        assert service.stop().ledger["backlogs_restored"] == 100
    assert saved(folder) == in_files


def test_backlogs_that_another_program_has_taken_are_not_restored(folder: Path) -> None:
    """dsiem-backend reads the saved files when it starts, and writes its own when it ends."""
    with serving(folder) as service:
        post(service, *events("open", OPENS, 5))
        assert service.stop().code == 0
    taken = folder / f"logs/backlogs/{FIRST}.json"
    kept = json.loads(taken.read_bytes())[:2]
    taken.write_text(json.dumps(kept))  # it has finished the other three
    (folder / f"logs/backlogs/{SECOND}.json").unlink()  # all of these are finished
    with serving(folder) as service:
        ended = service.stop()
        assert ended.ledger["backlogs_restored"] == 2
    assert {name: [a["alarm_id"] for a in alarms] for name, alarms in saved(folder).items()} == {
        taken.name: [alarm["alarm_id"] for alarm in kept]
    }


def test_saved_backlogs_of_unknown_directives_are_left_alone(folder: Path) -> None:
    with serving(folder) as service:
        post(service, *events("open", OPENS, 3))
        assert service.stop().code == 0
    in_files = saved(folder)
    write_config(folder, [pair_directive(FIRST), pair_directive(SECOND) | {"disabled": True}])
    with serving(folder) as service:
        assert service.stop().ledger["backlogs_restored"] == 3
    assert saved(folder) == in_files
    write_config(folder, map(pair_directive, (FIRST, SECOND)))
    with serving(folder) as service:
        assert service.stop().ledger["backlogs_restored"] == 6


def test_a_start_that_reads_nothing(folder: Path) -> None:
    with serving(folder) as service:
        post(service, *events("open", OPENS, 5))
        assert service.stop().code == 0
    in_files = saved(folder)
    with serving(folder, *SOON, "--reload-backlogs", "false") as service:
        post(service, *events("new", OPENS, 3, first=100))
        wait_for_rows(folder, 6)
        os.kill(service.workers[0], signal.SIGKILL)
        service.wait_for_log("backlogs restored", backlogs=3)
        ended = service.stop()
        ended.ledger.check()
        assert ended.ledger["backlogs_opened"] == ended.ledger["backlogs_open"] == 6
    assert saved(folder) == in_files


def test_backlogs_that_expired_meanwhile_are_published_as_timeout(folder: Path) -> None:
    with serving(folder) as service:
        post(service, *events("open", OPENS, 20))
        post(service, *events("a", GOES_ON, 20), *events("b", GOES_ON, 20))
        assert service.stop().code == 0
    files = folder / "logs/backlogs"
    for file in files.glob("checkpoint*"):
        file.unlink()
    service = Service(folder, "--max-future", "0")
    try:
        wait_until(
            lambda: sum(a["rules"][2].get("status") == "timeout" for a in service.alarms()) == 40,
            "40 timeouts",
        )
        ended = service.stop()
        ended.ledger.check()
        assert ended.ledger["backlogs_restored"] == ended.ledger["backlogs_expired"] == 40
        assert not saved(folder)
    finally:
        service.kill_all()


# Trouble with the disk.


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_an_unusable_checkpoint_is_set_aside(folder: Path, content: bytes) -> None:
    file = folder / "logs/backlogs/checkpoint.sqlite"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with serving(folder, *SOON) as service:
        assert service.logged("the checkpoint cannot be used")
        post(service, *events("open", OPENS, 5))
        wait_for_rows(folder, 10)
        assert service.stop().code == 0
    assert file.with_name("checkpoint.sqlite.bad").read_bytes() == content


def test_an_unusable_saved_file_is_set_aside(folder: Path) -> None:
    with serving(folder) as service:
        post(service, *events("open", OPENS, 5))
        assert service.stop().code == 0
    broken = folder / f"logs/backlogs/{FIRST}.json"
    broken.write_bytes(broken.read_bytes()[:-10])
    for file in broken.parent.glob("checkpoint*"):
        file.unlink()
    with serving(folder) as service:
        assert service.stop().ledger["backlogs_restored"] == 5
    assert broken.with_name(f"{broken.name}.bad").exists()
    assert list(saved(folder)) == [f"{SECOND}.json"]


def test_correlation_continues_on_a_full_disk_and_all_is_saved_later(folder: Path) -> None:
    def limit(service: Service, most: int) -> None:
        for pid in service.workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    with serving(folder, *SOON) as service:
        limit(service, 20_000)
        post(service, *events("open", OPENS, 500))
        service.wait_for_log("no crash checkpoint", 2)
        post(service, *events("a", GOES_ON, 500))
        assert rows(folder) == {}
        limit(service, resource.RLIM_INFINITY)
        service.wait_for_log("crash checkpoints are written again", 2)
        wait_for_rows(folder, 1000, ids=1)
        service.send_signal(signal.SIGKILL)
        service.wait_until_gone(5)
    with serving(folder) as service:
        ended = service.stop()
        assert ended.ledger["backlogs_restored"] == 1000


def test_a_backlog_folder_that_cannot_be_made_is_logged_and_the_service_runs(folder: Path) -> None:
    (folder / "logs").mkdir()
    (folder / "logs/backlogs").write_text("in the way")
    with serving(folder, *SOON) as service:
        assert service.logged("no crash checkpoint for now")
        post(service, *events("open", OPENS, 5))
        ended = service.stop()
        assert ended.code == 0
        ended.ledger.check()


# As a cluster backend.


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    with frontend_of(map(pair_directive, (FIRST, SECOND))) as made:
        yield made


def test_a_killed_cluster_backend_restores_its_backlogs(tmp_path: Path, frontend: Frontend) -> None:
    with NatsServer(tmp_path / "nats") as nats:
        with backend(tmp_path, frontend, nats.url, *SOON) as service:
            publish(nats, events("open", OPENS, 500) + events("a", GOES_ON, 500))
            wait_for_rows(tmp_path, 1000, ids=1)
            service.send_signal(signal.SIGKILL)
            service.wait_until_gone(5)
        with backend(tmp_path, frontend, nats.url) as service:
            publish(nats, events("b", GOES_ON, 500) + events("end", ENDS, 500))
            wait_until(lambda: len(finished(service)) == 1000, "all alarms")
            ended = service.stop()
            ended.ledger.check()
            assert ended.ledger["backlogs_restored"] == ended.ledger["backlogs_finished"] == 1000
            assert finished(service) == opened_alarms(service)


def test_backlogs_saved_by_dsiem_backend_are_restored(folder: Path) -> None:
    """Written by hand like release 0.35: with the values of references in their place."""
    rule = {"type": "PluginRule", "plugin_id": 1001, "port_from": "ANY", "port_to": "ANY"}
    rule |= {"name": "r", "protocol": "ANY", "timeout": 60}
    sids = [[10 * FIRST + does] for does in (OPENS, GOES_ON, ENDS)]
    bound = {"from": "192.0.0.7", "to": "10.0.0.1"}
    left = {
        "alarm_id": "Vk2x9QmPd",
        "title": f"directive {FIRST}",
        "status": "Open",
        "kingdom": "k",
        "category": "c",
        "created_time": 1741075200,
        "update_time": 1741075201,
        "risk": 1,
        "risk_class": "Low",
        "tag": "Identified Threat",
        "rules": [
            rule
            | {"stage": 1, "plugin_sid": sids[0], "occurrence": 1, "from": "ANY", "to": "ANY"}
            | {"reliability": 1, "start_time": 1741075200, "end_time": 1741075200}
            | {"status": "finished", "saved_event_ids": ["open7"]},
            rule
            | {"stage": 2, "plugin_sid": sids[1], "occurrence": 2, "reliability": 5, **bound}
            | {"start_time": 1741075200, "saved_event_ids": ["a7"]},
            rule
            | {"stage": 3, "plugin_sid": sids[2], "occurrence": 1, "reliability": 10}
            | {"from": ":1", "to": ":1"},
        ],
        "src_ips": ["192.0.0.7"],
        "dst_ips": ["10.0.0.1"],
        "networks": ["10.0.0.0/8"],
    }
    file = folder / f"logs/backlogs/{FIRST}.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps([left]))
    with serving(folder) as service:
        wait_until(lambda: not file.exists(), "the file is taken up")
        post(service, pair_event("b", FIRST, GOES_ON, 7), pair_event("end", FIRST, ENDS, 7))
        ended = service.stop()
        ended.ledger.check()
        assert ended.ledger["backlogs_restored"] == ended.ledger["backlogs_finished"] == 1
        assert [alarm["alarm_id"] for alarm in service.alarms()] == ["Vk2x9QmPd"] * 2
        last = service.alarms()[-1]
        assert (last["created_time"], last["risk"]) == (1741075200, 10)
        assert [rule["from"] for rule in last["rules"]] == ["ANY", "192.0.0.7", "192.0.0.7"]
