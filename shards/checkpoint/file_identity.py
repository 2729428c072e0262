"""Tells whether the checkpoint file is still the one that was opened.

A file of its own, since it is all that the store asks before and after each save.
"""

import os
from pathlib import Path

DATABASE_MAGIC = b"SQLite format 3\0"
"""The first bytes of a SQLite database."""


class FileIdentity:
    """Tells whether a path still leads to the database that was opened there."""

    def __init__(self, path: Path) -> None:
        """Open the file, to be closed after the connection to it. OSError if that fails."""
        self._path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def reason_lost(self) -> str:
        """Why the path does not lead to this database any more; empty if it does."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return "the file was removed while it was in use"
        except OSError as error:
            return error.strerror or str(error)
        here = os.fstat(self._handle)
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            return "the file was replaced while it was in use"
        if os.pread(self._handle, len(DATABASE_MAGIC), 0) != DATABASE_MAGIC:
            return "the file was overwritten while it was in use"
        return ""

    def close(self) -> None:
        """Close the file. That releases all locks which this process has on it."""
        os.close(self._handle)
