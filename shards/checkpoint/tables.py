"""The rows of the checkpoint, and the statements that read and write them.

Each call of SQLite releases the GIL and waits 5 ms or longer to get it back, so there are few
calls, with many rows each.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple, TypeVar

from engine.alarm import BacklogKey
from shards.checkpoint.cool_down_table import UPSERT_COOL_DOWNS, CoolDownRow
from shards.checkpoint.definition_table import UPSERT_DEFINITIONS, DefinitionRow, json_array
from shards.checkpoint.shard_table import OLDEST_CLOCK, REPLACE_SHARDS, ShardRow

T = TypeVar("T")

_STATEMENT_ROWS = 2000
_STATEMENT_BYTES = 8 << 20
"""Limits of one statement: it holds the GIL for 1 to 2 ms, and copies little memory."""
_UPSERT_BACKLOGS = """
INSERT INTO backlog (directive, opened_by, age, state, at) VALUES {}
ON CONFLICT (directive, opened_by)
DO UPDATE SET age = excluded.age, state = excluded.state, at = excluded.at
"""
_UPSERT_BLOCKS = """
INSERT INTO block (directive, opened_by, name, number, items) VALUES {}
ON CONFLICT (directive, opened_by, name, number) DO UPDATE SET items = excluded.items
"""
_DELETE_BACKLOGS = """
DELETE FROM backlog WHERE rowid IN (
    SELECT found.rowid FROM (VALUES {}) AS key CROSS JOIN backlog AS found
    ON found.directive = key.column1 AND found.opened_by = key.column2
)
"""
_DELETE_SETS = """
DELETE FROM block WHERE rowid IN (
    SELECT found.rowid FROM (VALUES {}) AS key CROSS JOIN block AS found
    ON found.directive = key.column1 AND found.opened_by = key.column2
    AND found.name = key.column3
)
"""
"""With `(directive, opened_by) IN (VALUES …)` SQLite reads the whole table, not the index."""
_DIRECTIVES = "SELECT value FROM json_each(?1)"
"""Any number of directives as one argument, a JSON array."""
_LOAD = f"""
SELECT directive, age, opened_by, state FROM backlog
WHERE ?1 IS NULL OR directive IN ({_DIRECTIVES})
"""
_LOAD_BLOCKS = f"""
SELECT directive, opened_by, name, items FROM block
WHERE ?1 IS NULL OR directive IN ({_DIRECTIVES}) ORDER BY directive, opened_by, name, number
"""
_DELETE_DIRECTIVES = (
    f"DELETE FROM backlog WHERE directive IN ({_DIRECTIVES})",
    f"DELETE FROM block WHERE directive IN ({_DIRECTIVES})",
)
_COUNT = f"""
SELECT directive, count(*) FROM backlog WHERE directive IN ({_DIRECTIVES}) GROUP BY directive
"""
_LAST_SAVED = """
SELECT directive, max(at)
FROM (SELECT directive, at FROM backlog UNION ALL SELECT directive, at FROM handed_over)
GROUP BY directive
"""
MAX_MEMORY_ROWS = 8192
"""Rows of the memory of all shards; a full one has some 40 kB."""
_INSERT_MEMORY = "INSERT INTO memory (kind, until, entries) VALUES {}"
_LOAD_MEMORY = "SELECT kind, entries FROM memory ORDER BY rowid"
_FORGET_MEMORY = f"""
DELETE FROM memory WHERE until < {OLDEST_CLOCK} - ?
OR rowid <= (SELECT max(rowid) FROM memory) - ?
"""
_RECLAIM = f"DELETE FROM handed_over WHERE directive IN ({_DIRECTIVES})"
_CONFIRM = f"UPDATE backlog SET at = ?2 WHERE directive IN ({_DIRECTIVES})"
_HAND_OVER = f"REPLACE INTO handed_over (directive, at) SELECT value, ?2 FROM ({_DIRECTIVES})"


class BacklogRow(NamedTuple):
    """An open backlog; `order` sorts the backlogs of a directive by age, `state` is any bytes."""

    directive: int
    opened_by: str
    order: int
    state: bytes


class BlockRow(NamedTuple):
    """A block of items of a large set of a backlog; `number` counts the blocks of a set from 0."""

    directive: int
    opened_by: str
    name: str
    number: int
    items: bytes


class MemoryRow(NamedTuple):
    """Events taken, or alarms written, that a shard remembers; `until`: the latest time of them."""

    kind: str
    until: int
    entries: bytes


class StaleSet(NamedTuple):
    """A set of a backlog whose blocks are to be deleted, before others of that name follow."""

    directive: int
    opened_by: str
    name: str


Row = BacklogRow | BlockRow | StaleSet | DefinitionRow | MemoryRow | CoolDownRow | ShardRow
Blocks = dict[str, list[bytes]]
"""The blocks of a backlog in order, by the name of their set."""


def load_backlogs(
    connection: sqlite3.Connection, directives: Collection[int] | None
) -> tuple[tuple[int, str, bytes], ...]:
    """Directive, `opened_by` and state, of all backlogs or those of some directives, by age."""
    argument = None if directives is None else json_array(directives)
    rows = sorted(connection.execute(_LOAD, (argument,)), key=itemgetter(0, 1))
    return tuple((directive, opened_by, state) for directive, _, opened_by, state in rows)


def load_blocks(
    connection: sqlite3.Connection, directives: Collection[int] | None
) -> dict[BacklogKey, Blocks]:
    """The blocks of all backlogs that have some, or of those of some directives."""
    found: dict[BacklogKey, Blocks] = {}
    argument = None if directives is None else json_array(directives)
    for directive, opened_by, name, items in connection.execute(_LOAD_BLOCKS, (argument,)):
        found.setdefault((directive, opened_by), {}).setdefault(name, []).append(items)
    return found


def count_backlogs(connection: sqlite3.Connection, directives: Collection[int]) -> dict[int, int]:
    """The numbers of backlogs of these directives, of those that have some."""
    return dict(connection.execute(_COUNT, (json_array(directives),)))


def load_last_saved(connection: sqlite3.Connection) -> dict[int, int]:
    """By directive: time at which it was last saved or handed over, in ns since the epoch."""
    return dict(connection.execute(_LAST_SAVED))


def load_handed_over(connection: sqlite3.Connection) -> frozenset[int]:
    """The directives that are marked as handed over."""
    return frozenset(d for (d,) in connection.execute("SELECT directive FROM handed_over"))


def mark_directives(
    connection: sqlite3.Connection,
    handed_over: Collection[int],
    reclaimed: Collection[int],
    now_ns: int,
) -> None:
    """Remove the marks of reclaimed directives, then mark others as handed over."""
    connection.execute(_RECLAIM, (json_array(reclaimed),))
    connection.execute(_HAND_OVER, (json_array(handed_over), now_ns))


def confirm_directives(
    connection: sqlite3.Connection, directives: Collection[int], now_ns: int
) -> None:
    """Set the time of all backlogs of these directives."""
    if directives:
        connection.execute(_CONFIRM, (json_array(directives), now_ns))


def delete_directives(connection: sqlite3.Connection, directives: Collection[int]) -> None:
    """Delete all rows of these directives."""
    if directives:
        for statement in _DELETE_DIRECTIVES:
            connection.execute(statement, (json_array(directives),))


def delete_backlogs(connection: sqlite3.Connection, keys: Sequence[BacklogKey]) -> None:
    """Delete the rows of these backlogs, without blocks."""
    _delete(connection, _DELETE_BACKLOGS, keys)


def write_rows(connection: sqlite3.Connection, rows: Iterable[Row], now_ns: int) -> None:
    """Write the rows of any kinds in batches; of each batch, delete the stale sets first."""
    backlog_values = f"(?,?,?,?,{now_ns:d})"
    for batch in _batches(rows, _row_bytes):
        _delete(connection, _DELETE_SETS, [row for row in batch if isinstance(row, StaleSet)])
        backlogs = [row for row in batch if isinstance(row, BacklogRow)]
        _execute(connection, _UPSERT_BACKLOGS, backlog_values, backlogs)
        blocks = [row for row in batch if isinstance(row, BlockRow)]
        _execute(connection, _UPSERT_BLOCKS, "(?,?,?,?,?)", blocks)
        definitions = [row for row in batch if isinstance(row, DefinitionRow)]
        _execute(connection, UPSERT_DEFINITIONS, "(?,?)", definitions)
        remembered = [row for row in batch if isinstance(row, MemoryRow)]
        _execute(connection, _INSERT_MEMORY, "(?,?,?)", remembered)
        cool_downs = [row for row in batch if isinstance(row, CoolDownRow)]
        _execute(connection, UPSERT_COOL_DOWNS, "(?,?,?,?)", cool_downs)
        shards = [row._replace(at=now_ns) for row in batch if isinstance(row, ShardRow)]
        _execute(connection, REPLACE_SHARDS, f"({','.join('?' * len(ShardRow._fields))})", shards)


def _row_bytes(row: Row) -> int:
    if isinstance(row, CoolDownRow):
        return 0
    if isinstance(row, ShardRow):
        return len(row.counts) + len(row.files)
    return len(row[-1]) + (0 if isinstance(row, MemoryRow | DefinitionRow) else len(row.opened_by))


def load_memory(connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
    """The kinds and entries of the memory, the oldest first."""
    return connection.execute(_LOAD_MEMORY).fetchall()


def forget_memory(connection: sqlite3.Connection, seconds: int) -> None:
    """Delete rows of the memory that are older than this by the clocks of all shards.

    Also the oldest ones, if there are too many. The wall clock does not count: after an hour of
    downtime, a stream goes on where it was.
    """
    connection.execute(_FORGET_MEMORY, (seconds, MAX_MEMORY_ROWS))


def _delete(
    connection: sqlite3.Connection, statement: str, keys: Sequence[BacklogKey | StaleSet]
) -> None:
    for batch in _batches(keys, lambda key: len(key[1])):
        _execute(connection, statement, f"({','.join('?' * len(batch[0]))})", batch)


def _execute(
    connection: sqlite3.Connection, statement: str, values: str, rows: Sequence[Sequence[object]]
) -> None:
    """Run a statement with the values of some rows; not at all without rows."""
    if rows:
        arguments = [value for row in rows for value in row]
        connection.execute(statement.format(",".join([values] * len(rows))), arguments)


def _batches(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Split items into batches within the limits of one statement; a larger item goes alone."""
    batch: list[T] = []
    total = 0
    for item in items:
        total += size(item)
        if batch and (len(batch) == _STATEMENT_ROWS or total > _STATEMENT_BYTES):
            yield batch
            batch, total = [], size(item)
        batch.append(item)
    if batch:
        yield batch
