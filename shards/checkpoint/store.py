"""Reads and writes the checkpoint: every open backlog as a row of one SQLite file.

All workers share the file. It is written in a thread while the main thread correlates. Each call of
SQLite releases the GIL and waits 5 ms or longer to get it back, so there are few calls, with many
rows each. The clock stays outside: times are arguments.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from engine.alarm import BacklogKey
from shards.checkpoint.database_file import (
    BUSY_SECONDS,
    MAX_WAL_BYTES,
    CheckpointError,
    append_suffix,
    as_checkpoint_error,
    file_identity,
    open_database,
    query_int,
)

T = TypeVar("T")

_STATEMENT_ROWS = 2000
_STATEMENT_BYTES = 8 << 20
"""Limits of one statement: it holds the GIL for 1 to 2 ms, and copies little memory."""
_VACUUM_PAGES = 500
"""Unused pages, of 16 KiB, that are returned to the file system after a save; fewer are kept."""

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
_DIRECTIVES = "SELECT value FROM json_each(?1)"
"""Any number of directives as one argument, a JSON array."""
_LOAD = f"""
SELECT directive, age, state FROM backlog WHERE ?1 IS NULL OR directive IN ({_DIRECTIVES})
"""
_LAST_SAVED = """
SELECT directive, max(at)
FROM (SELECT directive, at FROM backlog UNION ALL SELECT directive, at FROM handed_over)
GROUP BY directive
"""
_RECLAIM = f"DELETE FROM handed_over WHERE directive IN ({_DIRECTIVES})"
_HAND_OVER = f"REPLACE INTO handed_over (directive, at) SELECT value, ?2 FROM ({_DIRECTIVES})"
_IS_MOSTLY_UNUSED = f"""
SELECT freelist_count > page_count / 2 AND freelist_count > {_VACUUM_PAGES}
FROM pragma_freelist_count, pragma_page_count
"""
_VACUUM = f"PRAGMA incremental_vacuum({_VACUUM_PAGES})"
_TRUNCATE_WAL = f"""
PRAGMA busy_timeout = 1000;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA busy_timeout = {1000 * BUSY_SECONDS};
"""


class BacklogRow(NamedTuple):
    """An open backlog; `order` sorts the backlogs of a directive by age, `state` is any bytes."""

    directive: int
    opened_by: str
    order: int
    state: bytes


class CheckpointStore:
    """Rows of the checkpoint file. All methods raise CheckpointError; one thread at a time calls.

    The file is created when it is missing, also later, once a disk that was full has room again.
    """

    def __init__(self, path: Path) -> None:
        """Does not open the file yet."""
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def load(self, directives: Collection[int] | None = None) -> tuple[tuple[int, bytes], ...]:
        """Read directive and state of all rows, or of those of some directives.

        Sorted by directive, the oldest backlog first. Never returns a part of a save.
        """
        argument = None if directives is None else _json_array(directives)
        with self._connected() as connection:
            rows = sorted(connection.execute(_LOAD, (argument,)), key=itemgetter(0, 1))
        return tuple((directive, state) for directive, _, state in rows)

    def last_saved_ns(self) -> dict[int, int]:
        """By directive: time at which it was last saved or handed over, in ns since the epoch.

        A time for each directive, because the workers save theirs at different times.
        """
        with self._connected() as connection:
            return dict(connection.execute(_LAST_SAVED))

    def handed_over_directives(self) -> frozenset[int]:
        """The directives that are marked as handed over."""
        with self._connected() as connection:
            return frozenset(d for (d,) in connection.execute("SELECT directive FROM handed_over"))

    def save(
        self,
        rows: Sequence[BacklogRow],
        closed: Sequence[BacklogKey],
        now_ns: int,
        *,
        handed_over: Collection[int] = (),
        reclaimed: Collection[int] = (),
    ) -> None:
        """Delete the rows of `closed`, then insert or replace `rows`, in one transaction.

        `handed_over`: directives whose backlogs are also in saved files now, where another program
        can continue them; the mark stays until the directives are `reclaimed`. After a
        CheckpointError the same save can be tried again.
        """
        with self._connected() as connection:
            with _transaction(connection):
                _delete(connection, closed)
                _upsert(connection, rows, now_ns)
                connection.execute(_RECLAIM, (_json_array(reclaimed),))
                connection.execute(_HAND_OVER, (_json_array(handed_over), now_ns))
            self._shrink_files(connection)

    def close(self) -> None:
        """Close the file; the next call of another method opens it again."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """The connection; an error closes it, which rolls back what was not committed."""
        with as_checkpoint_error(self._path):
            try:
                yield self._open_connection()
            except BaseException:
                self.close()
                raise

    def _open_connection(self) -> sqlite3.Connection:
        """Open the file on first use, and raise CheckpointError if it was replaced since then.

        Saves into a file that was removed would succeed, and nobody could read them.
        """
        if self._identity and self._identity != file_identity(self._path):
            raise CheckpointError(f"{self._path}: the file was replaced while it was in use")
        if self._connection is None:
            self._connection = open_database(self._path)
            self._identity = file_identity(self._path)
        return self._connection

    def _shrink_files(self, connection: sqlite3.Connection) -> None:
        """Shrink the database and its log if they are too long; ignore errors, the save is done.

        `executescript` runs the vacuum in one call, where `execute` would return after every page.
        """
        with suppress(sqlite3.OperationalError, FileNotFoundError):
            if query_int(connection, _IS_MOSTLY_UNUSED):
                connection.executescript(_VACUUM)
            if append_suffix(self._path, "-wal").stat().st_size > MAX_WAL_BYTES:
                connection.executescript(_TRUNCATE_WAL)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Lock the database for other writers. After an error, closing the connection rolls back."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _upsert(connection: sqlite3.Connection, rows: Iterable[BacklogRow], now_ns: int) -> None:
    for batch in _batches(rows, lambda row: len(row.opened_by) + len(row.state)):
        values = ",".join([f"(?,?,?,?,{now_ns:d})"] * len(batch))
        connection.execute(_UPSERT.format(values), [value for row in batch for value in row])


def _delete(connection: sqlite3.Connection, keys: Iterable[BacklogKey]) -> None:
    for batch in _batches(keys, lambda key: len(key[1])):
        values = ",".join(["(?,?)"] * len(batch))
        connection.execute(_DELETE.format(values), [value for key in batch for value in key])


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


def _json_array(directives: Collection[int]) -> str:
    return msgspec.json.encode(list(directives)).decode()
