"""Samples, incidents and positions of the history."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.file_position import FilePosition
from shards.history import database, service_rows
from shards.history.service_rows import (
    Incident,
    Sample,
    flow_history,
    positions_between,
    write_incidents,
    write_position,
    write_samples,
)
from tests.support.history import NOW

START = NOW // 60 * 60


@pytest.fixture
def history(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = database.open_history(tmp_path / "h")
    yield connection
    connection.close()


def sample(minute: int, **more: int | float | str | None) -> Sample:
    fields = {"at": START + 60 * minute, "process": "", "seconds": 60.0}
    return Sample(**fields | more)  # type: ignore[arg-type]


def test_steps_without_a_sample_are_none(history: sqlite3.Connection) -> None:
    write_samples(history, [sample(1, events=600, alarms=3, queue=7, lag=None)])
    found = flow_history(history, "", (START, START + 240), 4)
    assert (found.since, found.step) == (START, 60.0)
    assert found.series["events"] == [None, 10.0, None, None]
    assert found.series["alarms"] == [None, 3, None, None]
    assert found.series["lag"] == [None] * 4


def test_samples_of_one_step_are_added_or_the_highest_taken(history: sqlite3.Connection) -> None:
    write_samples(
        history,
        [
            sample(0, events=60, dropped=1, queue=9, checkpoint_age=2.0),
            sample(1, events=180, dropped=2, queue=4, checkpoint_age=5.0),
        ],
    )
    series = flow_history(history, "", (START, START + 120), 1).series
    assert (series["events"], series["dropped"]) == ([2.0], [3])
    assert (series["queue"], series["checkpoint_age"]) == ([9], [5.0])


def test_each_process_has_samples_of_its_own(history: sqlite3.Connection) -> None:
    write_samples(history, [sample(0, events=60), sample(0, process="worker-1", events=120)])
    assert flow_history(history, "worker-1", (START, START + 60), 1).series["events"] == [2.0]


def test_a_step_is_never_shorter_than_a_sample(history: sqlite3.Connection) -> None:
    found = flow_history(history, "", (START, START + 600), 500)
    assert (found.step, len(found.series["events"])) == (60.0, 10)


def test_the_last_incidents_of_a_span_are_given_the_oldest_first(
    history: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_rows, "MAX_INCIDENTS", 3)
    write_incidents(history, [Incident(NOW + i, "restart", "router", str(i)) for i in range(9)])
    found = flow_history(history, "", (NOW, NOW + 6), 1)
    assert [incident.text for incident in found.incidents] == ["4", "5", "6"]


def test_positions_reach_over_both_ends(history: sqlite3.Connection) -> None:
    for at in range(0, 100, 10):
        write_position(history, at, FilePosition(1, at, 0))

    def found(since: float, until: float) -> list[float]:
        return [at for at, _ in positions_between(history, since, until)]

    assert found(25, 41) == [20, 30, 40, 50]
    assert found(20, 40) == [20, 30, 40]
    assert found(-5, 5) == [0, 10]
    assert found(85, float("inf")) == [80, 90]
    assert found(500, 600) == [90]
