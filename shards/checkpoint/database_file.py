"""The file of the crash checkpoint: made, opened, checked, and set aside when it is no good.

What may live here: one SQLite file as a whole. What may not: the rows in it (checkpoint.py).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from loguru import logger

VERSION = 1
_APPLICATION = 0x44534843  # "DSHC"
_STAMPS = ("application_id", "user_version")
BUSY_SECONDS = 10
LONGEST_WAL = 64 << 20

_NO_FAULT_OF_THE_FILE = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM),
    sqlite3.SQLITE_READONLY_DIRECTORY,
}

_MAKE = f"""
PRAGMA page_size = 16384;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS backlog (
    directive INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    age INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (directive, opened_by)
) STRICT;
CREATE TABLE IF NOT EXISTS handed_over (
    directive INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_OPEN = f"""
PRAGMA synchronous = NORMAL;
PRAGMA secure_delete = OFF;
PRAGMA wal_autocheckpoint = 250;
PRAGMA journal_size_limit = {LONGEST_WAL};
"""


class CheckpointError(Exception):
    """The file and what is wrong with it, as one text for people."""


def prepare_database(path: Path, *, wanted: bool = True) -> None:
    """Make the file, or check the one that is there; for the supervisor, before any worker.

    A file that is no good is set aside as `<name>.bad`, one that is not `wanted` as `<name>.old`,
    in place of an earlier one, and a new one is made. CheckpointError when that cannot be done, or
    when a file cannot be opened for now (a full disk, a lock): then it is left as it is.
    """
    with as_checkpoint_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not wanted:
            _set_aside(path, ".old")
        elif fault := _fault(path):
            _set_aside(path, ".bad")
            logger.bind(file=str(path), reason=fault).error(
                "the checkpoint cannot be used: it is kept as *.bad, and a new one is made"
            )
        open_file(path).close()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file, "rw"; or make it if it is missing, "rwc"."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions are begun here, not by the library
        check_same_thread=False,
        cached_statements=4,  # few are used again, and one of 2000 rows is large
    )
    with _closed_by_error(connection):
        connection.executescript(_OPEN)
    return connection


@contextmanager
def _closed_by_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file, and make it if it is missing or empty; others may do so at the same time."""
    connection = connect(path, "rwc")
    with _closed_by_error(connection):
        if not _schema(connection):
            connection.executescript(_MAKE)
    return connection


def _fault(path: Path) -> str:
    """Why this file cannot be used; nothing when it can, or is not there."""
    if not path.exists():
        return ""
    if fault := next(filter(None, map(_file_fault, _parts(path))), ""):
        return fault
    try:
        with closing(connect(path, "rw")) as connection:
            return _content_fault(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # garbage may be quoted as it is
        code = getattr(error, "sqlite_errorcode", 0)
        if not _NO_FAULT_OF_THE_FILE.isdisjoint((code, code & 0xFF)):
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
    application, version = (number_of(connection, f"PRAGMA {name}") for name in _STAMPS)
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


def number_of(connection: sqlite3.Connection, statement: str) -> int:
    [number] = connection.execute(statement).fetchone()
    return int(number)


def _set_aside(path: Path, end: str) -> None:
    """Rename the file, and first what is beside it: no new file may ever meet an old log."""
    for part, aside in reversed([*zip(_parts(path), _parts(with_suffix(path, end)), strict=True)]):
        _remove(aside)
        if part.exists():
            part.rename(aside)


def _remove(path: Path) -> None:
    """Remove a file or an empty folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    """The file, and those that SQLite keeps beside it."""
    return [with_suffix(path, end) for end in ("", "-wal", "-shm")]


def inode_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def with_suffix(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


@contextmanager
def as_checkpoint_error(path: Path) -> Iterator[None]:
    """Any error of the file or the disk becomes a CheckpointError."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        raise CheckpointError(f"{path}: {error} ({code})") from error
    except OSError as error:
        raise CheckpointError(f"{error.filename or path}: {error.strerror}") from error
