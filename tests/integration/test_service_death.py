"""A service is killed with all its processes, and started again on the same log folder."""

import signal
import sqlite3
import time
from collections import Counter, defaultdict
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shards.alarm_files import ALARM_EVENTS, ALARMS
from tests.support.cluster import ENDS, GOES_ON, OPENS, pair_directive, pair_event
from tests.support.serving import Service, directives_of, wait_until, write_config

DIRECTIVES = directives_of(0, 2, 1) + directives_of(1, 2, 1)
NUMBER = 30
"""Backlogs of each directive."""
TIMEOUT = 9
"""Of each stage, in seconds: longer than two restarts take."""
OPTIONS = ("--checkpoint-interval", "3", "--expiry-grace", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directives = list(map(pair_directive, DIRECTIVES))
    for rule in (rule for directive in directives for rule in directive["rules"][1:]):
        rule["timeout"] = TIMEOUT
    write_config(tmp_path, directives)
    return tmp_path


def post(service: Service, name: str, does: int) -> None:
    """Post an event for each backlog, and wait for its line."""
    now = datetime.now(UTC).isoformat()
    events = [
        pair_event(f"{name}{id_}-", id_, does, number) | {"timestamp": now}
        for id_ in DIRECTIVES
        for number in range(NUMBER)
    ]
    before = service.lines()
    assert service.post(events).accepted == len(events)
    service.wait_for_lines(before + len(events))


def query(folder: Path, statement: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(folder / "logs/backlogs/checkpoint.sqlite")) as connection:
        return connection.execute(statement).fetchall()


def saved_stages(folder: Path) -> Counter[str]:
    """Number of backlogs in the checkpoint, by stage."""
    stages = query(folder, "SELECT json_array_length(state, '$.starts') FROM backlog")
    return Counter(str(stage) for (stage,) in stages)


def runs(folder: Path) -> set[str]:
    """The run that each worker has last written a checkpoint in."""
    return {run for (run,) in query(folder, "SELECT run FROM shard")}


def kill(service: Service) -> None:
    service.send_signal(signal.SIGKILL)
    service.wait_until_gone(5)


def alarms_of(folder: Path) -> dict[str, list[int]]:
    """The finished stages in the lines of each alarm, over a rotation."""
    found: dict[str, list[int]] = defaultdict(list)
    seen: set[bytes] = set()
    for name in (f"{ALARM_EVENTS}.1", ALARM_EVENTS, f"{ALARMS}.1", ALARMS):
        path = folder / "logs" / name
        for line in path.read_bytes().splitlines() if path.exists() else ():
            assert line not in seen
            seen.add(line)
            if name.startswith(ALARMS):
                alarm_id = line.split(b'"')[3].decode()
                found[alarm_id].append(line.count(b'"status":"finished"'))
    return found


@pytest.mark.parametrize("kills", [1, 2])
@pytest.mark.parametrize("rotates", [False, True], ids=["", "rotated"])
def test_a_backlog_that_is_behind_its_alarm_does_not_overwrite_it(
    folder: Path, kills: int, rotates: bool
) -> None:
    """Over HTTP nothing is given again: the backlogs are those of the last checkpoint."""
    service = Service(folder, *OPTIONS)
    for name, does in (("open", OPENS), ("a", GOES_ON), ("b", GOES_ON)):
        post(service, name, does)
    number = len(DIRECTIVES) * NUMBER
    wait_until(lambda: saved_stages(folder) == {"3": number}, "a checkpoint")
    saved = time.time()
    post(service, "end", ENDS)
    before = runs(folder)
    kill(service)
    assert saved_stages(folder) == {"3": number}, "no checkpoint has the end of the backlogs"
    if rotates:
        for name in (ALARMS, ALARM_EVENTS):
            (folder / "logs" / name).rename(folder / "logs" / f"{name}.1")
    finished = alarms_of(folder)
    assert {stages[-1] for stages in finished.values()} == {3}
    service = Service(folder, *OPTIONS)
    if kills == 2:
        wait_until(lambda: not runs(folder) & before, "checkpoints of the second run")
        kill(service)
        service = Service(folder, *OPTIONS)
    unreported = time.time() - saved
    wait_until(lambda: not saved_stages(folder), "the end of all backlogs", TIMEOUT + 20)
    ended = service.stop()
    assert ended.code == 0
    ended.ledger.check()
    assert ended.ledger["backlogs_restored"] == ended.ledger["backlogs_expired"] == number
    assert ended.ledger["outdated"] == number
    assert 0 < ended.ledger["unreported_seconds"] < unreported + 3
    assert alarms_of(folder) == finished
    service = Service(folder, *OPTIONS)
    ended = service.stop()
    assert ended.ledger["unreported_seconds"] == 0, "the end was in order"
