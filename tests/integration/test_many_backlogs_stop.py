"""A stop with more backlogs than can be saved for other programs in its time."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.cluster import GOES_ON, OPENS, pair_directive, pair_event
from tests.support.serving import Service, directives_of, serving, wait_until, write_config

LARGE, SMALL = directives_of(0, 1, 2)
MANY = 150_000
FEW = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, map(pair_directive, (LARGE, SMALL)))
    return tmp_path


def post(service: Service, name: str, id_: int, does: int, number: int) -> None:
    before = service.lines()
    for at in range(0, number, 2000):
        events = [pair_event(name, id_, does, n) for n in range(at, min(number, at + 2000))]
        assert service.post(events).accepted == len(events)
    service.wait_for_lines(before + number)


def rows(folder: Path) -> int:
    [file] = (folder / "logs/backlogs").glob("checkpoint*.sqlite")
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM backlog").fetchone()[0])


def test_many_backlogs_are_no_reason_for_a_stop_by_force(folder: Path) -> None:
    """With two seconds as with eight: a stop takes the time that it has, and loses nothing."""
    options = ("--checkpoint-interval=1", "--shutdown-timeout=2", "--max-queue=0")
    with serving(folder, *options, workers=1) as service:
        post(service, "s", SMALL, OPENS, FEW)
        post(service, "l", LARGE, OPENS, MANY)
        wait_until(lambda: rows(folder) == MANY + FEW, "a checkpoint")
        post(service, "a", LARGE, GOES_ON, 1)
        ended = service.stop()
        assert ended.code == 0, service.text()
        left_out = service.logged("no time was left to save all backlogs", backlogs=MANY)
        assert service.logged("stopping by force") == []
    names = {path.name for path in (folder / "logs/backlogs").glob("*.json*")}
    assert names == ({f"{SMALL}.json"} if left_out else {f"{SMALL}.json", f"{LARGE}.json"})
    with serving(folder, workers=1) as service:
        ended = service.stop()
        assert ended.code == 0
        assert ended.ledger["backlogs_restored"] == MANY + FEW
