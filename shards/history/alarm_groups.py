"""Counts alarms of the history: by directive or source, and over time."""

import math
import sqlite3
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shards.history.alarm_filter import AlarmFilter, Condition, where
from shards.history.alarm_queries import MAX_COUNTED, RISK_CLASSES, highest_sequence

MAX_SOURCES = 1_000
SPARK_PARTS = 24
GROUPINGS: tuple[Literal["directive", "source"], ...] = ("directive", "source")


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
    """Groups, most alarms first; `sequence`: the highest one when they were read."""

    groups: list[AlarmGroup]
    total: int
    total_capped: bool
    sequence: int


class AlarmTimeline(Struct, frozen=True):
    """Numbers of alarms by time of creation, in parts of `step` seconds."""

    since: float
    step: float
    Low: list[int]
    Medium: list[int]
    High: list[int]


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
    is_capped, sequence = total > MAX_COUNTED, highest_sequence(connection)
    return AlarmGroups(groups, min(total, MAX_COUNTED), is_capped, sequence)


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
    """Numbers of alarms by time of creation, in equal parts of the span.

    The times of the filter do not count: they are about the last events of alarms.
    """
    since, until = span
    step = max(1.0, (until - since) / parts)
    conditions = replace(wanted, risks=(), since=None, until=None).conditions()
    classes = wanted.risks or RISK_CLASSES
    series = {class_: [0] * parts for class_ in RISK_CLASSES}
    # A count for each part needs no sorting: its rows are neighbours in an index.
    for class_, part in product(classes, range(parts)):
        start = since + part * step
        end = start + step if part < parts - 1 else math.inf
        span_of_part: Condition = (
            "risk_class = ? AND created >= ? AND created < ? AND created <= ?",
            (class_, start, end, until),
        )
        condition, values = where([span_of_part, *conditions])
        query = f"SELECT count(*) FROM alarm WHERE {condition}"
        series[class_][part] = connection.execute(query, values).fetchone()[0]
    return AlarmTimeline(since, step, **series)
