"""The crash checkpoint: every open backlog as a row of one SQLite file that all workers share.

What may live here: how rows get into the file and out of it. What may not: the file as a whole
(checkpoint_file.py), what a state holds, when to save, a clock (`now` is an argument), threads.
A save is meant for a thread beside a main thread that is busy. Each call of SQLite gives up the GIL
and waits 5 ms or longer to get it back, so there are few calls, and many rows in each.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from shards.checkpoint.database_file import (
    BUSY_SECONDS,
    LONGEST_WAL,
    CheckpointError,
    as_checkpoint_error,
    inode_of,
    number_of,
    open_file,
    with_suffix,
)

T = TypeVar("T")

_STATEMENT_ROWS = 2000
_STATEMENT_BYTES = 8 << 20
"""With so much the GIL is held for 1 to 2 ms, and copied memory stays small."""
_VACUUM_PAGES = 500
"""So many unused pages, of 16 KiB, are given back after a save; fewer are not worth it."""

_UPSERT = """
INSERT INTO backlog (directive, opened_by, age, state, at) VALUES {}
ON CONFLICT (directive, opened_by)
DO UPDATE SET age = excluded.age, state = excluded.state, at = excluded.at
"""
_DELETE = """
DELETE FROM backlog WHERE rowid IN (
    SELECT found.rowid FROM (VALUES {}) AS key CROSS JOIN backlog AS found
    ON found.directive = key.column1 AND found.opened_by = key.column2
)
"""
"""With `(directive, opened_by) IN (VALUES …)` SQLite reads the whole table, not the index."""
_LISTED = "SELECT value FROM json_each(?1)"
"""Any number of directives as one argument."""
_LOAD = f"SELECT directive, age, state FROM backlog WHERE ?1 IS NULL OR directive IN ({_LISTED})"
_SAVED_AT = """
SELECT directive, max(at)
FROM (SELECT directive, at FROM backlog UNION ALL SELECT directive, at FROM handed_over)
GROUP BY directive
"""
_MOSTLY_UNUSED = f"""
SELECT freelist_count > page_count / 2 AND freelist_count > {_VACUUM_PAGES}
FROM pragma_freelist_count, pragma_page_count
"""
_VACUUM = f"PRAGMA incremental_vacuum({_VACUUM_PAGES})"
_SHORTEN_WAL = f"""
PRAGMA busy_timeout = 1000;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA busy_timeout = {1000 * BUSY_SECONDS};
"""


class BacklogRow(NamedTuple):
    """An open backlog; `order` tells its age among those of the directive, `state` is any bytes."""

    directive: int
    opened_by: str
    order: int
    state: bytes


Key = tuple[int, str]
"""The directive and the event that opened the backlog."""


class CheckpointStore:
    """The file, for one thread at a time, whichever. CheckpointError from all methods.

    It is made if it is missing, so that a service whose disk is full at the start gets it later.
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def load(self, directives: Collection[int] | None = None) -> tuple[tuple[int, bytes], ...]:
        """Directive and state of all rows, or of all of these directives; the oldest first in each.

        All of one moment: no save is seen in part.
        """
        which = None if directives is None else _json(directives)
        with self._connected() as connection:
            ordered = sorted(connection.execute(_LOAD, (which,)), key=itemgetter(0, 1))
        return tuple((directive, state) for directive, _, state in ordered)

    def saved_at(self) -> dict[int, int]:
        """By directive: when it was last saved or handed over, in ns since the epoch.

        Of each by itself: other workers save theirs meanwhile.
        """
        with self._connected() as connection:
            return dict(connection.execute(_SAVED_AT))

    def handed_over(self) -> frozenset[int]:
        """The directives that are marked as handed over."""
        with self._connected() as connection:
            return frozenset(d for (d,) in connection.execute("SELECT directive FROM handed_over"))

    def save(
        self,
        rows: Sequence[BacklogRow],
        closed: Sequence[Key],
        now_ns: int,
        *,
        handed_over: Collection[int] = (),
        reclaimed: Collection[int] = (),
    ) -> None:
        """Delete the rows of `closed`, then insert or replace `rows`: all of it, or nothing.

        Directives whose backlogs are also kept elsewhere now, as the last thing that is done with
        them, are `handed_over`, a mark that stays until they are `reclaimed`. After a
        CheckpointError the same may be tried again.
        """
        with self._connected() as connection:
            with _transaction(connection):
                _delete(connection, closed)
                _upsert(connection, rows, now_ns)
                _reclaim(connection, reclaimed)
                _hand_over(connection, handed_over, now_ns)
            self._tidy(connection)

    def close(self) -> None:
        """Close the file; what follows opens it again."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """The connection. After an error it is closed, which undoes what was not committed."""
        with as_checkpoint_error(self._path):
            try:
                yield self._opened()
            except BaseException:
                self.close()
                raise

    def _opened(self) -> sqlite3.Connection:
        """The connection, and always to the same file.

        On one that was taken away all could be saved without an error, for nobody to find.
        """
        if self._inode and self._inode != inode_of(self._path):
            raise CheckpointError(f"{self._path}: the file was replaced while it was in use")
        if self._connection is None:
            self._connection = open_file(self._path)
            self._inode = inode_of(self._path)
        return self._connection

    def _tidy(self, connection: sqlite3.Connection) -> None:
        """Make a file shorter that has become too long; no fault of the save if that fails.

        A script is run in one go, where `execute` would come back after every single page.
        """
        with suppress(sqlite3.OperationalError, FileNotFoundError):
            if number_of(connection, _MOSTLY_UNUSED):
                connection.executescript(_VACUUM)
            if with_suffix(self._path, "-wal").stat().st_size > LONGEST_WAL:
                connection.executescript(_SHORTEN_WAL)


# Statements.


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Others wait for its end. An error leaves it open, for closing the connection to undo it."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _upsert(connection: sqlite3.Connection, rows: Iterable[BacklogRow], now_ns: int) -> None:
    for some in _batches(rows, lambda row: len(row.opened_by) + len(row.state)):
        values = ",".join([f"(?,?,?,?,{now_ns:d})"] * len(some))
        connection.execute(_UPSERT.format(values), [value for row in some for value in row])


def _delete(connection: sqlite3.Connection, keys: Iterable[Key]) -> None:
    for some in _batches(keys, lambda key: len(key[1])):
        values = ",".join(["(?,?)"] * len(some))
        connection.execute(_DELETE.format(values), [value for key in some for value in key])


def _reclaim(connection: sqlite3.Connection, directives: Collection[int]) -> None:
    statement = f"DELETE FROM handed_over WHERE directive IN ({_LISTED})"
    connection.execute(statement, (_json(directives),))


def _hand_over(connection: sqlite3.Connection, directives: Collection[int], now_ns: int) -> None:
    statement = f"REPLACE INTO handed_over (directive, at) SELECT value, ?2 FROM ({_LISTED})"
    connection.execute(statement, (_json(directives), now_ns))


def _batches(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Parts that are small enough for one statement each, or a single item."""
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


def _json(directives: Collection[int]) -> str:
    return msgspec.json.encode(list(directives)).decode()
