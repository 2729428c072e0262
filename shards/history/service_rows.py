"""What the history keeps of the service: samples each minute, incidents, and file positions."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from shards.file_position import FilePosition

MAX_INCIDENTS = 500
"""Incidents that an answer has, the last ones."""
_SUMS = ("events", "alarms", "dropped", "lost", "rolled_back", "late")
_HIGHEST = ("queue", "lag", "backlogs", "checkpoint_age")
SERIES = ("events", "alarms", *_HIGHEST, "dropped", "lost", "rolled_back", "late")


class Sample(Struct, frozen=True, kw_only=True):
    """What a process, or the service (""), has done since its last sample, and how it is.

    `seconds`: since the last sample; `events`: received by the service, or processed by a worker;
    `alarms`: lines written; `queue`: the longest one; `lag`: messages of the stream not read;
    `checkpoint_age`: seconds, the highest; None if it is not known.
    """

    at: int
    process: str
    seconds: float
    events: int = 0
    alarms: int = 0
    queue: int = 0
    lag: int | None = None
    backlogs: int = 0
    checkpoint_age: float | None = None
    dropped: int = 0
    lost: int = 0
    rolled_back: int = 0
    late: int = 0


class Incident(Struct, frozen=True):
    """Something that happened to the service; `kind` as in openapi.json, `text` for people."""

    time: float
    kind: str
    process: str
    text: str


class FlowHistory(Struct, frozen=True):
    """Samples in steps of equal length, by name of the series; None where there is none."""

    since: float
    step: float
    series: dict[str, list[float | None]]
    incidents: list[Incident]


def write_samples(connection: sqlite3.Connection, samples: Iterable[Sample]) -> None:
    """Write samples, in place of those of the same minute."""
    values = ", ".join("?" * len(Sample.__struct_fields__))
    connection.executemany(
        f"INSERT OR REPLACE INTO sample ({', '.join(Sample.__struct_fields__)}) VALUES ({values})",
        [astuple(sample) for sample in samples],
    )


def write_incidents(connection: sqlite3.Connection, incidents: Iterable[Incident]) -> None:
    """Write incidents."""
    connection.executemany(
        "INSERT INTO incident (time, kind, process, text) VALUES (?, ?, ?, ?)",
        [astuple(incident) for incident in incidents],
    )


def write_position(connection: sqlite3.Connection, at: float, position: FilePosition) -> None:
    """Write where the alarm events file ended at a moment."""
    place = msgspec.msgpack.encode(position)
    connection.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (at, place))


def positions_between(
    connection: sqlite3.Connection, since: float, until: float, most: int = 2_000
) -> list[tuple[float, FilePosition]]:
    """The positions from the last one before `since` on to the first one after `until`."""
    first = connection.execute("SELECT max(at) FROM position WHERE at <= ?", (since,)).fetchone()[0]
    last = connection.execute("SELECT min(at) FROM position WHERE at >= ?", (until,)).fetchone()[0]
    rows = connection.execute(
        "SELECT at, place FROM position WHERE at >= ? AND at <= ? ORDER BY at LIMIT ?",
        (since if first is None else first, until if last is None else last, most),
    )
    return [(at, msgspec.msgpack.decode(place, type=FilePosition)) for at, place in rows]


def flow_history(
    connection: sqlite3.Connection, process: str, span: tuple[float, float], parts: int
) -> FlowHistory:
    """The samples of a process, or of the service (""), in equal steps of the span."""
    since, until = span
    step = max(60.0, (until - since) / parts)
    parts = max(1, round((until - since) / step))
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    highest = ", ".join(f"max({name})" for name in _HIGHEST)
    rows = connection.execute(
        f"""SELECT min(?, CAST((at - ?) / ? AS INTEGER)) AS part, sum(seconds), {sums}, {highest}
        FROM sample WHERE process = ? AND at >= ? AND at <= ? GROUP BY part""",
        (parts - 1, since, step, process, since, until),
    )
    series: dict[str, list[float | None]] = {name: [None] * parts for name in SERIES}
    for part, seconds, *values in rows:
        for name, value in zip((*_SUMS, *_HIGHEST), values, strict=True):
            series[name][part] = value
        series["events"][part] = round(values[0] / max(1.0, seconds), 3)
    return FlowHistory(since, step, series, last_incidents(connection, span))


def last_incidents(connection: sqlite3.Connection, span: tuple[float, float]) -> list[Incident]:
    """The last incidents of a span, the oldest first."""
    rows: Sequence[Any] = connection.execute(
        """SELECT time, kind, process, text FROM incident WHERE time >= ? AND time <= ?
        ORDER BY number DESC LIMIT ?""",
        (*span, MAX_INCIDENTS),
    ).fetchall()
    return [Incident(*row) for row in rows[::-1]]
