"""Reads alarms from the history: pages of a list, groups, counts over time, and one alarm."""

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from shards.history.alarm_filter import AlarmFilter, Condition, where
from shards.ipc.queries import MAX_SHOWN, Address

MAX_COUNTED = 10_000
"""Largest number of alarms or groups that is counted."""
MAX_SOURCES = 1_000
SPARK_PARTS = 24
MAX_CHANGES = 100
RISK_CLASSES = ("Low", "Medium", "High")
GROUPINGS: tuple[Literal["directive", "source"], ...] = ("directive", "source")
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
    """A page of alarms, the last changed first; `next`: the `before` of the page after it."""

    alarms: list[AlarmSummary]
    next: str | None
    total: int
    total_capped: bool
    risks: dict[str, int]


class AlarmGroup(Struct, frozen=True):
    """Alarms of one directive or source."""

    key: str
    name: str
    alarms: int
    High: int
    Medium: int
    Low: int
    risk: int
    risk_class: str
    sources: int
    first_time: float
    last_time: float
    spark: list[int]


class AlarmGroups(Struct, frozen=True):
    """Groups, most alarms first."""

    groups: list[AlarmGroup]
    total: int
    total_capped: bool


class AlarmTimeline(Struct, frozen=True):
    """Numbers of alarms by time of creation, in parts of `step` seconds."""

    since: float
    step: float
    Low: list[int]
    Medium: list[int]
    High: list[int]


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
    )


def _count_by_risk(
    connection: sqlite3.Connection, conditions: Sequence[Condition]
) -> dict[str, int]:
    condition, values = where(conditions)
    rows = connection.execute(
        f"SELECT risk_class, count(*) FROM alarm WHERE {condition} GROUP BY risk_class", values
    )
    return dict.fromkeys(RISK_CLASSES, 0) | dict(rows.fetchall())


def _summary(row: Sequence[Any]) -> AlarmSummary:
    *fields, names, src, dst = row
    known = msgspec.json.decode(names)
    return AlarmSummary(*[*fields, _shown(src, known), _shown(dst, known)])


def _shown(addresses: str, names: Mapping[str, str]) -> list[Address]:
    return [
        Address(ip, names.get(ip, "")) for ip in addresses.split(maxsplit=MAX_SHOWN)[:MAX_SHOWN]
    ]


def group_alarms(
    connection: sqlite3.Connection,
    wanted: AlarmFilter,
    by: Literal["directive", "source"],
    limit: int,
    span: tuple[float, float],
) -> AlarmGroups:
    """Alarms by directive or source; `span`: the time of the sparklines."""
    condition, values = where(wanted.conditions())
    key = "coalesce(directive, '')" if by == "directive" else "source"
    since, until = span
    part = max(1.0, (until - since) / SPARK_PARTS)
    rows = connection.execute(
        f"""SELECT {key} AS key, count(*) AS alarms, sum(risk_class = 'High'),
        sum(risk_class = 'Medium'), sum(risk_class = 'Low'), max(risk), count(DISTINCT source),
        min(created), max(updated), count(*) OVER () FROM alarm WHERE {condition}
        GROUP BY key ORDER BY alarms DESC, key LIMIT ?""",
        (*values, limit),
    ).fetchall()
    sparks = {row[0]: [0] * SPARK_PARTS for row in rows}
    counts = connection.execute(
        f"""SELECT {key} AS key, min(?, CAST((created - ?) / ? AS INTEGER)) AS part, count(*)
        FROM alarm WHERE {condition} AND created >= ? GROUP BY key, part""",
        (SPARK_PARTS - 1, since, part, *values, since),
    )
    for found, number, alarms in counts:
        if found in sparks:
            sparks[found][number] = alarms
    names = _names_of(connection, [row[0] for row in rows], by)
    groups = [_group(row, names.get(row[0], ""), sparks[row[0]]) for row in rows]
    total = int(rows[0][-1]) if rows else 0
    return AlarmGroups(groups, min(total, MAX_COUNTED), total > MAX_COUNTED)


def _group(row: Sequence[Any], name: str, spark: list[int]) -> AlarmGroup:
    key, alarms, high, medium, low, risk, sources, first, last, _ = row
    counted = {"High": high, "Medium": medium, "Low": low}
    return AlarmGroup(
        key=str(key),
        name=name,
        alarms=alarms,
        **counted,
        risk=risk,
        risk_class=next(class_ for class_ in counted if counted[class_]),
        sources=min(sources, MAX_SOURCES),
        first_time=first,
        last_time=last,
        spark=spark,
    )


def _names_of(
    connection: sqlite3.Connection, keys: Sequence[Any], by: Literal["directive", "source"]
) -> dict[Any, str]:
    """The names of directives, or of the assets of sources as their last alarm has them."""
    names = {}
    for key in keys:
        if by == "directive":
            row = connection.execute("SELECT name FROM directive WHERE id = ?", (key,)).fetchone()
            names[key] = row[0] if row else ""
        else:
            row = connection.execute(
                "SELECT names FROM alarm WHERE source = ? ORDER BY sequence DESC LIMIT 1", (key,)
            ).fetchone()
            names[key] = msgspec.json.decode(row[0]).get(key, "") if row else ""
    return names


def alarm_timeline(
    connection: sqlite3.Connection, wanted: AlarmFilter, span: tuple[float, float], parts: int
) -> AlarmTimeline:
    """Numbers of alarms by time of creation, in equal parts of the span."""
    since, until = span
    step = max(1.0, (until - since) / parts)
    condition, values = where(wanted.conditions())
    series = {class_: [0] * parts for class_ in RISK_CLASSES}
    rows = connection.execute(
        f"""SELECT risk_class, min(?, CAST((created - ?) / ? AS INTEGER)) AS part, count(*)
        FROM alarm WHERE {condition} AND created >= ? AND created <= ? GROUP BY risk_class, part""",
        (parts - 1, since, step, *values, since, until),
    )
    for class_, part, count in rows:
        series[class_][part] = count
    return AlarmTimeline(since, step, **series)


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
