"""Lists the directives of the running configuration with what the history knows of each.

The workers tell which directives there are; open backlogs and matches come with each request.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from shards.history.alarm_filter import MAX_WORDS
from shards.history.schema import BUCKET_SECONDS
from shards.ipc.queries import DirectiveRow

NOISY_SHARE = 5
"""A directive is noisy that made one alarm of this many of the day, ..."""
NOISY_ALARMS = 10
"""... and at least so many."""
_HOUR = 3_600
_DAY_HOURS = 24
_ORDERS = {
    "id": "id",
    "name": "name COLLATE NOCASE, id",
    "alarms": "alarms_day DESC, alarms_hour DESC, id",
    "matches": "matches DESC, id",
    "backlogs": "backlogs DESC, id",
    "last_fired": "last_fired DESC, id",
}
_KINDS = {
    "all": "true",
    "fired": "last_fired IS NOT NULL",
    "never": "last_fired IS NULL",
    "noisy": "noisy",
    "open": "backlogs > 0",
}
_VIEW = f"""
WITH fired_day AS (
    SELECT directive, sum(alarms) AS day, sum(alarms * (bucket >= :hour)) AS hour
    FROM fired WHERE bucket >= :day GROUP BY directive
), total AS (SELECT sum(day) AS alarms FROM fired_day
), list AS (
    SELECT id, name, kingdom, category, priority, stages, worker, search,
    coalesce(day, 0) AS alarms_day, coalesce(hour, 0) AS alarms_hour, created AS last_fired,
    now.matches AS matches, now.backlogs AS backlogs,
    coalesce(day >= {NOISY_ALARMS} AND day * {NOISY_SHARE} >= total.alarms, 0) AS noisy
    FROM directive JOIN total LEFT JOIN fired_day ON fired_day.directive = id
    LEFT JOIN last_fired ON last_fired.directive = id LEFT JOIN temp.now ON now.directive = id
)
"""


class DirectiveFilter(Struct, frozen=True, kw_only=True):
    """Which directives are wanted, and in what order; `start`: number of those to skip."""

    sort: str = "alarms"
    reverse: bool = False
    kind: str = "all"
    text: str = ""
    start: int = 0
    limit: int = 100
    ids: tuple[int, ...] = ()


class LiveCounts(Struct, frozen=True):
    """By directive: its open backlogs, and the events that it consumed, if they are counted.

    `missing`: workers that have not said anything.
    """

    backlogs: Mapping[int, int]
    matches: Mapping[int, int] | None = None
    missing: tuple[int, ...] = ()


class DirectiveSummary(Struct, frozen=True):
    """A directive with what it has done; openapi.json describes the fields."""

    id: int
    name: str
    kingdom: str
    category: str
    priority: int
    stages: int
    worker: int
    matches: int | None
    backlogs: int | None
    alarms_hour: int
    alarms_day: int
    last_fired: float | None
    noisy: bool
    spark: list[int]


class DirectivePage(Struct, frozen=True):
    """A page of directives; `kinds`: numbers by kind without the filter by kind."""

    directives: list[DirectiveSummary]
    total: int
    kinds: dict[str, int]


def replace_directives(
    connection: sqlite3.Connection, rows: Iterable[tuple[int, DirectiveRow]], config: str
) -> None:
    """Replace all directives by those of a configuration; each with its worker."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM directive")
    connection.executemany(
        "INSERT OR REPLACE INTO directive VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (_columns(worker, row) for worker, row in rows),
    )
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('config', ?)", (config,))
    connection.execute("COMMIT")


def _columns(worker: int, row: DirectiveRow) -> tuple[Any, ...]:
    texts = (row.name, row.kingdom, row.category)
    search = "\n".join((str(row.id), *texts)).casefold()
    return (row.id, *texts, row.priority, row.stages, worker, search)


def config_of_directives(connection: sqlite3.Connection) -> str:
    """The configuration whose directives are here, or ""."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()
    return str(row[0]) if row else ""


def list_directives(
    connection: sqlite3.Connection, wanted: DirectiveFilter, live: LiveCounts, now: float
) -> DirectivePage:
    """A page of directives."""
    _write_live_counts(connection, live)
    times = {"hour": now - _HOUR, "day": now - _DAY_HOURS * _HOUR}
    matching, values = _matching(wanted)
    counts = ", ".join(f"coalesce(sum({condition}), 0)" for condition in _KINDS.values())
    numbers = connection.execute(
        f"{_VIEW} SELECT {counts} FROM list WHERE {matching}", times | values
    ).fetchone()
    kinds = dict(zip(_KINDS, numbers, strict=True))
    order = _ORDERS[wanted.sort]
    if wanted.reverse:
        order = ", ".join(_reversed(part) for part in order.split(", "))
    rows = connection.execute(
        f"""{_VIEW} SELECT id, name, kingdom, category, priority, stages, worker, matches, backlogs,
        alarms_hour, alarms_day, last_fired, noisy FROM list
        WHERE {matching} AND {_KINDS[wanted.kind]} ORDER BY {order} LIMIT :limit OFFSET :start""",
        times | values | {"limit": wanted.limit, "start": wanted.start},
    ).fetchall()
    sparks = _sparks(connection, [row[0] for row in rows], now)
    found = [_summary(row, live, sparks[row[0]]) for row in rows]
    return DirectivePage(found, kinds[wanted.kind], kinds)


def _write_live_counts(connection: sqlite3.Connection, live: LiveCounts) -> None:
    """Write them into a table of this connection."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS temp.now"
        " (directive INTEGER PRIMARY KEY, backlogs INTEGER, matches INTEGER)"
    )
    connection.execute("DELETE FROM temp.now")
    matches = live.matches or {}
    connection.executemany(
        "INSERT INTO temp.now VALUES (?, ?, ?)",
        (
            (id_, live.backlogs.get(id_, 0), matches.get(id_, 0))
            for id_ in live.backlogs.keys() | matches.keys()
        ),
    )


def _matching(wanted: DirectiveFilter) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {}
    conditions = ["true"]
    for number, word in enumerate(wanted.text.casefold().split()[:MAX_WORDS]):
        values[f"word{number}"] = word
        conditions.append(f"instr(search, :word{number})")
    if wanted.ids:
        conditions.append(f"id IN ({', '.join(map(str, wanted.ids))})")
    return " AND ".join(conditions), values


def _reversed(part: str) -> str:
    return part.removesuffix(" DESC") if part.endswith(" DESC") else f"{part} DESC"


def _summary(row: Any, live: LiveCounts, spark: list[int]) -> DirectiveSummary:
    *fields, worker, matches, backlogs, hour, day, last_fired, noisy = row
    counts = (
        None if live.matches is None else matches or 0,
        None if worker in live.missing else backlogs or 0,
    )
    return DirectiveSummary(*[*fields, worker, *counts, hour, day, last_fired, bool(noisy), spark])


def _sparks(connection: sqlite3.Connection, ids: list[int], now: float) -> dict[int, list[int]]:
    """Alarms of each of the last 24 hours by directive, the oldest hour first."""
    begin = int(now) // BUCKET_SECONDS * BUCKET_SECONDS + BUCKET_SECONDS - _DAY_HOURS * _HOUR
    sparks = {}
    for id_ in ids:
        spark = sparks[id_] = [0] * _DAY_HOURS
        rows = connection.execute(
            "SELECT (bucket - ?) / ?, sum(alarms) FROM fired WHERE directive = ? AND bucket >= ?"
            " AND bucket < ? GROUP BY 1",
            (begin, _HOUR, id_, begin, begin + _DAY_HOURS * _HOUR),
        )
        for hour, alarms in rows:
            spark[hour] = alarms
    return sparks


def name_of_directive(connection: sqlite3.Connection, directive: int | None) -> str:
    """The name of a directive of the running configuration, or ""."""
    row = connection.execute("SELECT name FROM directive WHERE id = ?", (directive,)).fetchone()
    return str(row[0]) if row else ""
