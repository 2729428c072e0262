"""The folder of saved backlogs, a file for each directive, as dsiem-backend keeps it too.

What may live here: reading, writing and removing these files. What may not: what a saved alarm
means, and which of the files are wanted. Another node may share the folder: files of directives
that nobody asks for are left alone.
"""

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from loguru import logger
from msgspec import Struct

from engine.dsiem_format.saved_alarm import SavedAlarm
from engine.dsiem_format.saved_document import SavedDocument, parse_saved_alarms
from shards.durable import sync_folder

MAX_FILE_BYTES = 1 << 30
"""A longer file is set aside unread."""


class SavedFile(Struct, frozen=True):
    """What a file held, and when it was last written, in ns since the epoch."""

    alarms: tuple[SavedAlarm, ...]
    mtime_ns: int


class SavedFolder:
    """The files `{directive id}.json` of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, directives: Collection[int]) -> dict[int, SavedFile]:
        """The files of these directives; what cannot be read is logged, and set aside as *.bad."""
        names = self._names()
        files = {
            directive: self._read(self._path(directive))
            for directive in directives
            if f"{directive}.json" in names
        }
        return {directive: file for directive, file in files.items() if file is not None}

    def write(self, saved: Mapping[int, Sequence[SavedAlarm]]) -> None:
        """Write a file for each directive, whole or not at all; OSError tells which one failed."""
        if not saved:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for directive, alarms in saved.items():
            _write(self._path(directive), msgspec.json.encode(alarms))
        sync_folder(self._folder)

    def remove(self, directives: Iterable[int]) -> None:
        """Remove the files of these directives, if they are there; OSError as usual."""
        removed = [self._path(one) for one in directives if self._path(one).exists()]
        for path in removed:
            path.unlink(missing_ok=True)
        if removed:
            sync_folder(self._folder)

    def _path(self, directive: int) -> Path:
        return self._folder / f"{directive}.json"

    def _names(self) -> frozenset[str]:
        """All names in the folder; none when there is no folder."""
        try:
            return frozenset(os.listdir(self._folder))  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            _say(self._folder, _reason(error), "saved backlogs cannot be looked for")
            return frozenset()

    def _read(self, path: Path) -> SavedFile | None:
        try:
            data, mtime_ns = _content(path)
            document = parse_saved_alarms(data)
        except FileNotFoundError:
            return None  # another process that shares the folder was faster
        except _NotAFile:
            _say(path, "it is not a regular file", "saved backlogs cannot be read")
            return None
        except (OSError, ValueError) as error:
            _set_aside(path, _reason(error))
            return None
        _say_faults(path, document)
        return SavedFile(document.alarms, mtime_ns)


class _NotAFile(Exception):
    """A name stands for something that is no regular file."""


def _content(path: Path) -> tuple[bytes, int]:
    """All bytes of a regular file, and its mtime in ns."""
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would block
        raise _NotAFile
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if found.st_size > MAX_FILE_BYTES:
            raise ValueError(f"it has {found.st_size} bytes, must be at most {MAX_FILE_BYTES}")
        return file.read(MAX_FILE_BYTES), found.st_mtime_ns


def _write(path: Path, data: bytes) -> None:
    """Replace a file whole; OSError with its name, and then the old one is still there."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _named(error, path) from error


def _named(error: OSError, path: Path) -> OSError:
    return OSError(error.errno, error.strerror, str(path))


def _say_faults(path: Path, document: SavedDocument) -> None:
    """Log what is no alarm in a file, which is kept for people under a second name."""
    for fault in document.faults:
        _say(path, fault, "a saved backlog cannot be read")
    if document.faults:
        bad = _bad(path)
        try:
            bad.unlink(missing_ok=True)
            bad.hardlink_to(path)
        except OSError as error:
            _say(bad, _reason(error), "the file cannot be kept under this name")


def _set_aside(path: Path, reason: str) -> None:
    bad = _bad(path)
    _say(path, reason, f"saved backlogs cannot be read, and are set aside as {bad.name}")
    try:
        path.replace(bad)
    except OSError as error:
        _say(bad, _reason(error), "the file cannot be set aside under this name")


def _bad(path: Path) -> Path:
    return path.with_name(f"{path.name}.bad")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _say(path: Path, reason: str, message: str) -> None:
    logger.bind(file=str(path), why=reason).error(message)
