"""Reads alarms from the history: pages of a list, and one alarm."""

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from shards.history.alarm_filter import AlarmFilter, Condition, where
from shards.ipc.queries import MAX_SHOWN, Address

MAX_COUNTED = 10_000
"""Largest number of alarms or groups that is counted."""
MAX_CHANGES = 100
RISK_CLASSES = ("Low", "Medium", "High")
_ROW = """
sequence, id, directive, title, kingdom, category, status, tag, risk, risk_class, state, stage,
stages, stages_finished, created, updated, written, src_count, dst_count, intel_hits,
vulnerabilities, names, src, dst
"""


class AlarmSummary(Struct, frozen=True):
    """An alarm as a row of the list; openapi.json describes the fields."""

    sequence: int
    id: str
    directive: int | None
    title: str
    kingdom: str
    category: str
    status: str
    tag: str
    risk: int
    risk_class: str
    state: str
    stage: int
    stages: int
    stages_finished: int
    created_time: float
    update_time: float
    written_time: float
    src_count: int
    dst_count: int
    intel_hits: int
    vulnerabilities: int
    src: list[Address]
    dst: list[Address]


class AlarmPage(Struct, frozen=True):
    """A page of alarms, the last changed first; `next`: the `before` of the page after it.

    `sequence`: the highest one when they were read.
    """

    alarms: list[AlarmSummary]
    next: str | None
    total: int
    total_capped: bool
    risks: dict[str, int]
    sequence: int


class AlarmChange(Struct, frozen=True):
    """A line of an alarm that was written."""

    time: float
    risk: int
    risk_class: str
    stage: int
    state: str


class StoredAlarm(Struct, frozen=True):
    """One alarm; `record`: its last line."""

    summary: AlarmSummary
    names: dict[str, str]
    changes: list[AlarmChange]
    first_written: float
    record: bytes


def list_alarms(
    connection: sqlite3.Connection,
    wanted: AlarmFilter,
    limit: int,
    *,
    before: int | None = None,
    after: int | None = None,
) -> AlarmPage:
    """A page of alarms with lower sequences than `before`, and higher ones than `after`."""
    conditions = wanted.conditions()
    bounds: list[Condition] = []
    if before is not None:
        bounds.append(("sequence < ?", (before,)))
    if after is not None:
        bounds.append(("sequence > ?", (after,)))
    condition, values = where([*bounds, *conditions])
    rows = connection.execute(
        f"SELECT {_ROW} FROM alarm WHERE {condition} ORDER BY sequence DESC LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    alarms = [_summary(row) for row in rows[:limit]]
    risks = _count_by_risk(connection, wanted.conditions(with_risk=False))
    total = sum(number for class_, number in risks.items() if class_ in (wanted.risks or risks))
    return AlarmPage(
        alarms,
        str(alarms[-1].sequence) if len(rows) > limit else None,
        min(total, MAX_COUNTED),
        total > MAX_COUNTED,
        {class_: min(number, MAX_COUNTED) for class_, number in risks.items()},
        highest_sequence(connection),
    )


def highest_sequence(connection: sqlite3.Connection) -> int:
    """The highest sequence of an alarm."""
    return int(connection.execute("SELECT seq FROM sqlite_sequence").fetchone()[0])


def _count_by_risk(
    connection: sqlite3.Connection, conditions: Sequence[Condition]
) -> dict[str, int]:
    """The alarms of each risk class; it counts no further than to more than MAX_COUNTED."""
    counts = {}
    for class_ in RISK_CLASSES:
        condition, values = where([("risk_class = ?", (class_,)), *conditions])
        counted = f"SELECT 1 FROM alarm WHERE {condition} LIMIT {MAX_COUNTED + 1}"
        [counts[class_]] = connection.execute(
            f"SELECT count(*) FROM ({counted})", values
        ).fetchone()
    return counts


def _summary(row: Sequence[Any]) -> AlarmSummary:
    *fields, names, src, dst = row
    known = msgspec.json.decode(names)
    return AlarmSummary(*[*fields, _shown(src, known), _shown(dst, known)])


def _shown(addresses: str, names: Mapping[str, str]) -> list[Address]:
    return [
        Address(ip, names.get(ip, "")) for ip in addresses.split(maxsplit=MAX_SHOWN)[:MAX_SHOWN]
    ]


def get_alarm(connection: sqlite3.Connection, id_: str) -> StoredAlarm | None:
    """One alarm; None if the history does not have it."""
    row = connection.execute(
        f"SELECT {_ROW}, first_written FROM alarm WHERE id = ?", (id_,)
    ).fetchone()
    record = connection.execute("SELECT line FROM record WHERE id = ?", (id_,)).fetchone()
    if row is None or record is None:
        return None
    summary = _summary(row[:-1])
    return StoredAlarm(
        summary,
        msgspec.json.decode(row[-4]),
        _changes(connection, id_),
        row[-1],
        zlib.decompress(record[0]),
    )


def _changes(connection: sqlite3.Connection, id_: str) -> list[AlarmChange]:
    """The first line and the last ones, the oldest first."""
    query = "SELECT sequence, written, risk, risk_class, stage, state FROM change WHERE id = ?"
    last = connection.execute(f"{query} ORDER BY sequence DESC LIMIT ?", (id_, MAX_CHANGES))
    rows = last.fetchall()[::-1]
    first = connection.execute(f"{query} ORDER BY sequence LIMIT 1", (id_,)).fetchall()
    if rows and first[0][0] != rows[0][0]:
        rows = [*first, *rows[1:]]
    return [AlarmChange(*row[1:]) for row in rows]
