"""Keeps the history within its bounds: by time, by rows and by bytes."""

import sqlite3
from typing import Final

from msgspec import Struct

DAY_SECONDS: Final = 86_400


class HistoryLimits(Struct, frozen=True, kw_only=True):
    """The bounds of the file; the oldest rows go first.

    `file_bytes`: of the pages in use; the file itself never gets larger than a fourth more.
    """

    seconds: int = DAY_SECONDS
    alarms: int = 100_000
    changes: int = 300_000
    fired: int = 500_000
    directives: int = 500_000
    samples: int = 150_000
    incidents: int = 10_000
    positions: int = 20_000
    file_bytes: int = 256 << 20


_SPARE = 0.05
"""More than the excess in bytes is deleted by this part of the rows."""
_MOST_DELETED = 5_000
"""Rows of a table that one call deletes: some ten milliseconds."""


def prune(connection: sqlite3.Connection, now: float, limits: HistoryLimits) -> bool:
    """Delete some of the rows that are beyond the bounds; whether all bounds hold now."""
    since = now - limits.seconds
    alarms = _excess(connection, "alarm", limits.alarms)
    changes = _excess(connection, "change", limits.changes)
    if (used := bytes_used(connection)) > limits.file_bytes:
        part = (used - limits.file_bytes) / used + _SPARE
        alarms = max(alarms, int(_count(connection, "alarm") * part) + 1)
        changes = max(changes, int(_count(connection, "change") * part) + 1)
    deleted = [
        _delete_alarms(connection, since, alarms),
        _delete_oldest(connection, "change", "sequence", "written < ?", since, changes),
        _delete(connection, "fired", "bucket", since, limits.fired),
        _delete(connection, "last_fired", "created", 0, limits.directives),
        _delete(connection, "sample", "at", since, limits.samples),
        _delete(connection, "incident", "time", since, limits.incidents),
        _delete(connection, "position", "at", since, limits.positions),
    ]
    return max(deleted) < _MOST_DELETED


def bytes_used(connection: sqlite3.Connection) -> int:
    """The bytes of the pages in use."""
    [pages, free, size] = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _excess(connection: sqlite3.Connection, table: str, most: int) -> int:
    return max(0, _count(connection, table) - most)


def _delete(
    connection: sqlite3.Connection, table: str, column: str, since: float, most: int
) -> int:
    """Delete rows of before `since`, and the oldest beyond `most`; returns their number."""
    excess = _excess(connection, table, most)
    return _delete_oldest(connection, table, column, f"{column} < ?", since, excess)


def _delete_oldest(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    is_old: str,
    since: float,
    excess: int,
) -> int:
    """Delete old rows, and the `excess` lowest ones by a column; returns their number."""
    key = _KEYS.get(table, "rowid")
    deleted = 0
    for condition, limit in ((is_old, _MOST_DELETED), ("? IS NOT NULL", excess)):
        if limit:
            chosen = f"SELECT {key} FROM {table} WHERE {condition} ORDER BY {column} LIMIT ?"
            query = f"DELETE FROM {table} WHERE ({key}) IN ({chosen})"
            parameters = (since, min(limit, _MOST_DELETED))
            deleted = max(deleted, connection.execute(query, parameters).rowcount)
    return deleted


_KEYS = {"fired": "directive, bucket", "sample": "at, process"}
"""The keys of tables without rowid."""


def _delete_alarms(connection: sqlite3.Connection, since: float, excess: int) -> int:
    chosen = "SELECT id FROM alarm WHERE written < ? ORDER BY sequence LIMIT ?"
    ids = connection.execute(chosen, (since, _MOST_DELETED)).fetchall()
    if excess:
        chosen = "SELECT id FROM alarm ORDER BY sequence LIMIT ?"
        ids += connection.execute(chosen, (min(excess, _MOST_DELETED),)).fetchall()
    connection.executemany("DELETE FROM alarm WHERE id = ?", ids)
    connection.executemany("DELETE FROM record WHERE id = ?", ids)
    return len(ids)
