"""The crash checkpoint: every open backlog as a row of one SQLite file that all workers share.

What may live here: how rows get into the file and out of it, and what is done about a file that is
no good. What may not: what a state holds, when to save, a clock (`now` is an argument), threads.
A save is meant for a thread beside a main thread that is busy. Each call of SQLite gives up the GIL
and waits 5 ms or longer to get it back, so there are few calls, and many rows in each.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from loguru import logger

T = TypeVar("T")

VERSION = 1
_APPLICATION = 0x44534843  # "DSHC"
_STAMPS = ("application_id", "user_version")
_STATEMENT_ROWS = 2000
_STATEMENT_BYTES = 8 << 20
"""With so much the GIL is held for 1 to 2 ms, and copied memory stays small."""
_BUSY_SECONDS = 10
_LONGEST_WAL = 64 << 20
_VACUUM_PAGES = 2000
"""So many unused pages, of 4 KiB, are given back after a save; fewer are not worth it."""

_NO_FAULT_OF_THE_FILE = (
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM),
)

_MAKE = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE backlog (
    directive INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    age INTEGER NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (directive, opened_by)
) STRICT;
CREATE TABLE handed_over (directive INTEGER PRIMARY KEY) STRICT;
CREATE TABLE saved (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_OPEN = f"""
PRAGMA synchronous = NORMAL;
PRAGMA secure_delete = OFF;
PRAGMA journal_size_limit = {_LONGEST_WAL};
"""
_UPSERT = """
INSERT INTO backlog (directive, opened_by, age, state) VALUES {}
ON CONFLICT (directive, opened_by) DO UPDATE SET age = excluded.age, state = excluded.state
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
_MOSTLY_UNUSED = f"""
SELECT freelist_count > page_count / 2 AND freelist_count > {_VACUUM_PAGES}
FROM pragma_freelist_count, pragma_page_count
"""
_VACUUM = f"PRAGMA incremental_vacuum({_VACUUM_PAGES})"
_SHORTEN_WAL = f"""
PRAGMA busy_timeout = 1000;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA busy_timeout = {1000 * _BUSY_SECONDS};
"""


class Row(NamedTuple):
    """An open backlog; `order` tells its age among those of the directive, `state` is any bytes."""

    directive: int
    opened_by: str
    order: int
    state: bytes


Key = tuple[int, str]
"""The directive and the event that opened the backlog."""


class CheckpointError(Exception):
    """The file and what is wrong with it, as one text for people."""


def prepare(path: Path) -> None:
    """Make the file, or check the one that is there; for the supervisor, before any worker.

    A file that is no good is set aside as `<name>.bad`, in place of an earlier one, and a new one
    is made. CheckpointError when that cannot be done, or when a file cannot be opened for now (a
    full disk, a lock): then it is left as it is.
    """
    with _errors_told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if fault := _fault(path):
            _set_aside(path)
            logger.bind(file=str(path), reason=fault).error(
                "the checkpoint cannot be used: it is kept as *.bad, and a new one is made"
            )
        _make(path)


class Checkpoint:
    """The prepared file; for one thread at a time, whichever. CheckpointError from all methods."""

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

    def saved_at(self) -> int:
        """When the last save was, by whichever worker, in ns since the epoch; 0 if never."""
        with self._connected() as connection:
            row = connection.execute("SELECT at FROM saved").fetchone()
        return int(row[0]) if row else 0

    def handed_over(self) -> frozenset[int]:
        """The directives that are marked as handed over."""
        with self._connected() as connection:
            return frozenset(d for (d,) in connection.execute("SELECT directive FROM handed_over"))

    def save(
        self,
        rows: Sequence[Row],
        closed: Sequence[Key],
        now_ns: int,
        *,
        handed_over: Collection[int] = (),
        taken_back: Collection[int] = (),
    ) -> None:
        """Delete the rows of `closed`, then insert or replace `rows`: all of it, or nothing.

        Directives whose backlogs are also kept elsewhere now, as the last thing that is done with
        them, are `handed_over`, a mark that stays until they are `taken_back`. After a
        CheckpointError the same may be tried again.
        """
        with self._connected() as connection:
            with _transaction(connection):
                _delete(connection, closed)
                _upsert(connection, rows)
                _delete_all(connection, "handed_over", taken_back)
                _mark(connection, handed_over)
                connection.execute("REPLACE INTO saved (id, at) VALUES (1, ?)", (now_ns,))
            self._tidy(connection)

    def clear(self, directives: Collection[int]) -> None:
        """Delete all rows and marks of these directives."""
        with self._connected() as connection, _transaction(connection):
            _delete_all(connection, "backlog", directives)
            _delete_all(connection, "handed_over", directives)

    def close(self) -> None:
        """Close the file; what follows opens it again."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """The connection. After an error it is closed, which undoes what was not committed."""
        with _errors_told(self._path):
            try:
                self._check_in_place()
                self._connection = self._connection or _connect(self._path)
                yield self._connection
            except BaseException:
                self.close()
                raise

    def _check_in_place(self) -> None:
        """A file that was removed can be written on, but nobody would find it again."""
        found = self._path.stat()
        inode = found.st_dev, found.st_ino
        self._inode = self._inode or inode
        if inode != self._inode:
            raise CheckpointError(f"{self._path}: the file was replaced while it was in use")

    def _tidy(self, connection: sqlite3.Connection) -> None:
        """Make a file shorter that has become too long; no fault of the save if that fails.

        A script is run in one go, where `execute` would come back after every single page.
        """
        with suppress(sqlite3.OperationalError, FileNotFoundError):
            if _number(connection, _MOSTLY_UNUSED):
                connection.executescript(_VACUUM)
            if _beside(self._path, "-wal").stat().st_size > _LONGEST_WAL:
                connection.executescript(_SHORTEN_WAL)


# Statements.


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Others wait for its end. An error leaves it open, for closing the connection to undo it."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _upsert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    for some in _batches(rows, lambda row: len(row.opened_by) + len(row.state)):
        values = ",".join(["(?,?,?,?)"] * len(some))
        connection.execute(_UPSERT.format(values), [value for row in some for value in row])


def _delete(connection: sqlite3.Connection, keys: Iterable[Key]) -> None:
    for some in _batches(keys, lambda key: len(key[1])):
        values = ",".join(["(?,?)"] * len(some))
        connection.execute(_DELETE.format(values), [value for key in some for value in key])


def _delete_all(connection: sqlite3.Connection, table: str, directives: Collection[int]) -> None:
    if directives:
        statement = f"DELETE FROM {table} WHERE directive IN ({_LISTED})"
        connection.execute(statement, (_json(directives),))


def _mark(connection: sqlite3.Connection, directives: Collection[int]) -> None:
    if directives:
        statement = f"INSERT OR IGNORE INTO handed_over (directive) {_LISTED}"
        connection.execute(statement, (_json(directives),))


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


# The file.


def _connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open the file; mode "rwc" makes it if it is missing."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # transactions are begun here, not by the library
        check_same_thread=False,
        cached_statements=4,  # few are used again, and one of 2000 rows is large
    )
    try:
        connection.executescript(_OPEN)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make the tables, in one transaction, unless they are there."""
    with closing(_connect(path, "rwc")) as connection:
        if not _number(connection, "PRAGMA user_version"):
            connection.executescript(_MAKE)


def _fault(path: Path) -> str:
    """Why this file cannot be used; nothing when it can, or is not there."""
    if not path.exists():
        return ""
    if fault := next(filter(None, map(_file_fault, _parts(path))), ""):
        return fault
    try:
        with closing(_connect(path)) as connection:
            return _content_fault(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # garbage may be quoted as it is
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_FAULT_OF_THE_FILE:
            raise
        return str(error)


def _file_fault(path: Path) -> str:
    """What keeps SQLite from opening a file; it is not opened here, as that would undo locks."""
    if not path.exists():
        return ""
    if not path.is_file():
        return f"{path.name} is not a file"
    return "" if os.access(path, os.R_OK | os.W_OK) else f"no permission to use {path.name}"


def _content_fault(connection: sqlite3.Connection) -> str:
    """What is wrong with the content; nothing about an empty file, which is a beginning."""
    application, version = (_number(connection, f"PRAGMA {name}") for name in _STAMPS)
    schema = _schema(connection)
    if (application, version, schema) == (0, 0, []):
        return ""
    if application != _APPLICATION:
        return "it is a database of another program"
    if version != VERSION:
        return f"it is of version {version}, not {VERSION}"
    if schema != _expected_schema():
        return "its tables are not those of a checkpoint"
    connection.executescript(f"BEGIN; PRAGMA user_version = {VERSION}; ROLLBACK")  # is it writable?
    [check] = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return "" if check == "ok" else str(check)


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str | None]]:
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def _expected_schema() -> list[tuple[str, str | None]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_MAKE)
        return _schema(connection)


def _number(connection: sqlite3.Connection, statement: str) -> int:
    [number] = connection.execute(statement).fetchone()
    return int(number)


def _set_aside(path: Path) -> None:
    """Rename the file, and first what is beside it: no new file may ever meet an old log."""
    for part, bad in reversed([*zip(_parts(path), _parts(_beside(path, ".bad")), strict=True)]):
        _remove(bad)
        if part.exists():
            part.rename(bad)


def _remove(path: Path) -> None:
    """Remove a file or an empty folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    """The file, and those that SQLite keeps beside it."""
    return [_beside(path, end) for end in ("", "-wal", "-shm")]


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


@contextmanager
def _errors_told(path: Path) -> Iterator[None]:
    """Any error of the file or the disk becomes a CheckpointError."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        raise CheckpointError(f"{path}: {error} ({code})") from error
    except OSError as error:
        raise CheckpointError(f"{error.filename or path}: {error.strerror}") from error
