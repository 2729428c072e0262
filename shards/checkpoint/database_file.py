"""Creates, opens and checks the SQLite file of the checkpoint, and renames an unusable one."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from loguru import logger

from shards.checkpoint.file_identity import FileKey, database_files, key_of
from shards.checkpoint.schema import (
    ADDED_TABLES,
    APPLICATION_ID,
    SCHEMA_VERSION,
    create_tables,
    expected_schema,
    query_int,
    read_schema,
)
from shards.file_lock import lock_file

BUSY_SECONDS = 10
"""Longest wait for a lock that another process holds."""
MAX_WAL_BYTES = 64 << 20
"""Length of the write-ahead log above which it is truncated."""

_TRANSIENT_ERROR_CODES = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM),
    sqlite3.SQLITE_READONLY_DIRECTORY,
}
"""Errors that say nothing about the content of the file."""

_CONNECTION_PRAGMAS = f"""
PRAGMA synchronous = FULL;
PRAGMA secure_delete = OFF;
PRAGMA wal_autocheckpoint = 250;
PRAGMA journal_size_limit = {MAX_WAL_BYTES};
"""


class CheckpointError(Exception):
    """The checkpoint cannot be read or written; the text names the file and the reason."""


class CheckpointLostError(CheckpointError):
    """The file was removed, replaced or damaged since it was opened: what was saved is lost."""


def prepare_database(path: Path, *, reuse: bool = True, lost: FileKey | None = None) -> None:
    """Create the file, or check the existing one; safe in concurrent processes.

    For the supervisor before it starts workers, and for a worker that has lost the file. A file of
    an earlier version is upgraded. An unusable one is renamed to `<name>.bad`; without `reuse`, any
    existing one is renamed to `<name>.old`; either replaces an earlier file of that name. `lost`:
    the file that a worker had open; if it is still there, it is unusable, since others may have its
    log open, and would write into it. Raises CheckpointError if it fails, or if the file cannot be
    opened at the moment (full disk, lock); then it stays as it is.
    """
    with as_checkpoint_error(path), _locked_folder(path.parent):
        if not path.exists():
            _remove_logs(path)
        if not reuse:
            _set_aside(path, ".old")
        elif reason := _reason_lost(path, lost) or _reason_unusable(path):
            _set_aside(path, ".bad")
            logger.bind(file=str(path), reason=reason).error(
                "the checkpoint cannot be used: it is kept as *.bad, and a new one is made"
            )
        open_database(path).close()


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Make the folder if it is missing, and let one process at a time prepare files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # where folders cannot be locked, processes get in each other's way
            lock_file(handle, fcntl.LOCK_EX, folder)
        yield
    finally:
        os.close(handle)


def _remove_logs(path: Path) -> None:
    """Remove the log files of a database that is gone.

    SQLite would use its shared memory for a new one too, although others have the old one open.
    """
    for log in database_files(path)[1:]:
        _remove(log)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file; create missing tables. Safe in concurrent processes."""
    connection = _connect(path, "rwc")
    with _close_on_error(connection):
        if query_int(connection, "PRAGMA user_version") in (0, *ADDED_TABLES):
            create_tables(connection)
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open an existing file (mode "rw"), or create it if it is missing ("rwc")."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # the store begins its transactions itself
        check_same_thread=False,
        cached_statements=4,  # few statements are used again, and one of 2000 rows is large
    )
    with _close_on_error(connection):
        connection.executescript(_CONNECTION_PRAGMAS)
    return connection


@contextmanager
def _close_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _reason_lost(path: Path, lost: FileKey | None) -> str:
    if lost is None or not path.exists() or key_of(path) != lost:
        return ""
    return "it was damaged, or its log was removed, while it was in use"


def _reason_unusable(path: Path) -> str:
    """Why the file cannot be used; empty if it can be used or does not exist."""
    if not path.exists():
        return ""
    if reason := next(filter(None, map(_reason_inaccessible, database_files(path))), ""):
        return reason
    try:
        with closing(_connect(path, "rw")) as connection:
            return _reason_invalid(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite quotes undecodable bytes
        if _is_transient(error):
            raise
        return str(error)


def _is_transient(error: Exception) -> bool:
    """Whether an error of SQLite says nothing about the content of the file."""
    code = getattr(error, "sqlite_errorcode", 0)
    return not _TRANSIENT_ERROR_CODES.isdisjoint((code, code & 0xFF))


def _reason_inaccessible(path: Path) -> str:
    """Why SQLite cannot open a file. Does not open it: closing it again would release locks."""
    if not path.exists():
        return ""
    if not path.is_file():
        return f"{path.name} is not a file"
    return "" if os.access(path, os.R_OK | os.W_OK) else f"no permission to use {path.name}"


def _reason_invalid(connection: sqlite3.Connection) -> str:
    """Why the content is not a checkpoint; empty if it is one, or if the file is empty."""
    application_id = query_int(connection, "PRAGMA application_id")
    version = query_int(connection, "PRAGMA user_version")
    schema = read_schema(connection)
    if (application_id, version, schema) == (0, 0, []):
        return ""
    if application_id != APPLICATION_ID:
        return "it is a database of another program"
    if version not in (SCHEMA_VERSION, *ADDED_TABLES):
        return f"it is of version {version}, not {SCHEMA_VERSION}"
    if schema != expected_schema(version):
        return "its tables are not those of a checkpoint"
    # Fails if the file cannot be written.
    connection.executescript(f"BEGIN; PRAGMA user_version = {version}; ROLLBACK")
    [check] = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return "" if check == "ok" else str(check)


def _set_aside(path: Path, suffix: str) -> None:
    """Rename the database and its log files by a suffix, in place of earlier ones.

    The log files go first, so that a new database never meets an old log.
    """
    old, new = database_files(path), database_files(append_suffix(path, suffix))
    for source, target in reversed([*zip(old, new, strict=True)]):
        _remove(target)
        if source.exists():
            source.rename(target)


def _remove(path: Path) -> None:
    """Remove a file or an empty folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def append_suffix(path: Path, suffix: str) -> Path:
    """The path with a suffix after its whole name."""
    return path.with_name(path.name + suffix)


@contextmanager
def as_checkpoint_error(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the file system as CheckpointError."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        type_ = CheckpointError if _is_transient(error) else CheckpointLostError
        raise type_(f"{path}: {error} ({code})") from error
    except OSError as error:
        raise CheckpointError(f"{error.filename or path}: {error.strerror}") from error
