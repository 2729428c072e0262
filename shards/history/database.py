"""Opens the file of the history; an unusable one is renamed, and a new one is begun."""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from loguru import logger

from shards.history.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

_LOG_SUFFIXES = ("-wal", "-shm")
_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -2048;
PRAGMA journal_size_limit = 4194304;
PRAGMA wal_autocheckpoint = 500;
PRAGMA temp_store = MEMORY;
"""
_TRANSIENT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_PERM,
}
"""Errors that say nothing about the content of the file."""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_history(path: Path) -> sqlite3.Connection:
    """Open the file, or create it; one that is damaged or of another program is kept as *.bad.

    sqlite3.Error or OSError if it cannot be opened now, such as on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open(path)
    except sqlite3.Error as error:
        if is_transient(error):
            raise
        reason = str(error)
    set_aside(path, reason)
    return _open(path)


def is_transient(error: sqlite3.Error) -> bool:
    """Whether an error says nothing about the content of the file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the content of the file is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def set_aside(path: Path, reason: str) -> None:
    """Rename a file that cannot be used, in place of an earlier one. OSError."""
    for suffix in _LOG_SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.rename(path.with_name(path.name + ".bad"))
    logger.bind(file=str(path), reason=reason).error(
        "the history cannot be used: it is kept as *.bad, and a new one is begun"
    )


def _open(path: Path) -> sqlite3.Connection:
    """Open and check the file; DatabaseError if it is no history."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(_PRAGMAS)
        if _pragma(connection, "user_version") == 0 and not _tables(connection):
            _create(connection)
        elif reason := _reason_unusable(connection):
            raise sqlite3.DatabaseError(reason)
    except BaseException:
        connection.close()
        raise
    with suppress(OSError):  # another one owns it
        path.chmod(0o640)
    return connection


def _create(connection: sqlite3.Connection) -> None:
    """Create the tables; sequences begin above those of any file before."""
    first = int(time.time()) * 1000
    connection.executescript(
        f"BEGIN; {TABLES}"
        f"INSERT INTO sqlite_sequence (name, seq) VALUES ('change', {first});"
        f"PRAGMA application_id = {APPLICATION_ID};"
        f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _reason_unusable(connection: sqlite3.Connection) -> str:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        return "it is a database of another program"
    if (version := _pragma(connection, "user_version")) != SCHEMA_VERSION:
        return f"it is of version {version}, not {SCHEMA_VERSION}"
    with closing(sqlite3.connect(":memory:")) as other:
        other.executescript(TABLES)
        if _tables(other) != _tables(connection):
            return "its tables are not those of a history"
    [check] = connection.execute("PRAGMA quick_check(1)").fetchone()
    return "" if check == "ok" else str(check)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
