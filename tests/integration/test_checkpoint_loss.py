"""The checkpoint of a running service is removed, replaced or damaged: it is written anew."""

import os
import shutil
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.cluster import GOES_ON, OPENS, pair_directive, pair_event
from tests.support.nats_server import free_port
from tests.support.serving import Service, directives_of, serving, wait_until, write_config

FIRST, SECOND = directives_of(0, 2, 1)[0], directives_of(1, 2, 1)[0]
SOON = ("--checkpoint-interval", "1")
NUMBER = 50
"""Backlogs of each directive."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, map(pair_directive, (FIRST, SECOND)))
    return tmp_path


def post(service: Service, name: str, does: int, number: int, first: int = 0) -> None:
    events = [
        pair_event(f"{name}{id_}-", id_, does, n)
        for n in range(first, first + number)
        for id_ in (FIRST, SECOND)
    ]
    before = service.lines()
    assert service.post(events).accepted == len(events)
    service.wait_for_lines(before + len(events))


def rows(file: Path) -> int:
    """Number of rows in the checkpoint; 0 while it is none."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM backlog").fetchone()[0])
    except sqlite3.Error:
        return 0


def remove(file: Path) -> None:
    file.unlink()


def remove_with_its_log(file: Path) -> None:
    for one in file.parent.glob("checkpoint*"):
        one.unlink()


def remove_the_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def remove_the_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def overwrite(file: Path) -> None:
    file.write_bytes(b"garbage" * 10_000)


def truncate(file: Path) -> None:
    os.truncate(file, 0)


def replace_by_garbage(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"garbage" * 10_000)
    other.replace(file)


def put_a_folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "lose",
    [
        remove,
        remove_with_its_log,
        remove_the_log,
        remove_the_folder,
        overwrite,
        truncate,
        replace_by_garbage,
        put_a_folder_there,
    ],
)
def test_all_backlogs_survive_kills_after_their_checkpoint_was_lost(
    lose: Callable[[Path], None], folder: Path
) -> None:
    file = folder / "logs/backlogs/checkpoint.sqlite"
    with serving(folder, *SOON) as service:
        post(service, "open", OPENS, NUMBER)
        wait_until(lambda: rows(file) == 2 * NUMBER, "a checkpoint")
        lose(file)
        service.wait_for_log("no crash checkpoint, backlogs are kept in memory only", 2)
        service.wait_for_log("crash checkpoints are written again", 2)
        wait_until(lambda: rows(file) == 2 * NUMBER, "a new checkpoint")
        os.kill(service.workers[0], signal.SIGKILL)
        service.wait_for_log("backlogs restored", backlogs=NUMBER)
        post(service, "a", GOES_ON, 1)
        service.send_signal(signal.SIGKILL)
        service.wait_until_gone(5)
    with serving(folder) as service:
        ended = service.stop()
        assert ended.code == 0
        assert ended.ledger["backlogs_restored"] == 2 * NUMBER


def test_readyz_names_the_trouble_while_it_lasts_and_the_service_takes_events(
    folder: Path,
) -> None:
    backlogs = folder / "logs/backlogs"
    port = free_port()

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with serving(folder, *SOON, f"--ops-port={port}") as service:
        post(service, "open", OPENS, NUMBER)
        wait_until(lambda: rows(backlogs / "checkpoint.sqlite") == 2 * NUMBER, "a checkpoint")
        shutil.rmtree(backlogs)
        backlogs.touch()
        line = f"writes no crash checkpoint: {backlogs}: File exists"
        expected = (200, f"ok\nworker-0 {line}\nworker-1 {line}\n")
        wait_until(lambda: get("/readyz") == expected, "trouble of both workers")
        assert "\ndsiem_checkpoint_writable 0.0\n" in get("/metrics")[1]
        post(service, "more", OPENS, NUMBER, first=NUMBER)
        logged = len(service.logged("no crash checkpoint"))
        assert logged == 4, "once for each trouble of each worker"
        backlogs.unlink()
        wait_until(lambda: get("/readyz") == (200, "ok\n"), "no trouble")
        assert "\ndsiem_checkpoint_writable 1.0\n" in get("/metrics")[1]
        service.send_signal(signal.SIGKILL)
        service.wait_until_gone(5)
    with serving(folder) as service:
        assert service.stop().ledger["backlogs_restored"] == 4 * NUMBER
