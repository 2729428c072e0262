"""Tells whether the files of the checkpoint are still those that were opened.

A file of its own: it is all that the store asks before and after each save.
"""

import os
from pathlib import Path

_MAGIC = b"SQLite format 3\0"
"""The first bytes of a SQLite database."""
FileKey = tuple[int, int]
"""Device and inode of a file."""


def database_files(path: Path) -> list[Path]:
    """The paths of a database, its write-ahead log, and its shared memory."""
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]


def key_of(path: Path) -> FileKey:
    """The key of the file to which a path leads; raises OSError."""
    status = path.stat()
    return status.st_dev, status.st_ino


class FileIdentity:
    """The files of an open database."""

    def __init__(self, path: Path) -> None:
        """Open the file, before the connection to it. OSError if that fails."""
        self._path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._handle)
        self.key: FileKey = status.st_dev, status.st_ino
        self._keys: dict[Path, FileKey] = {}

    def note_logs(self) -> None:
        """Note the log files, once the connection has opened them; they stay as long as it does."""
        database, *logs = database_files(self._path)
        self._keys = {database: self.key, **{log: key_of(log) for log in logs}}

    def reason_lost(self) -> str:
        """Why the paths do not lead to these files any more; empty if they do."""
        for path, key in self._keys.items():
            try:
                if key_of(path) != key:
                    return f"{path.name} was replaced while it was in use"
            except FileNotFoundError:
                return f"{path.name} was removed while it was in use"
            except OSError as error:
                return f"{path.name}: {error.strerror}"
        if os.pread(self._handle, len(_MAGIC), 0) != _MAGIC:
            return f"{self._path.name} was overwritten while it was in use"
        return ""

    def close(self) -> None:
        """Close the file, after the connection: that releases all locks of this process on it."""
        os.close(self._handle)
