"""Reads, writes and removes saved backlogs: a JSON file for each directive, as in dsiem-backend.

Another node can share the folder, so files of directives that are not asked for stay untouched.
"""

import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec
from loguru import logger
from msgspec import Struct

from engine.correlation.backlog import Backlog
from engine.dsiem_format.saved_alarm import SavedAlarm, are_portable, saved_alarms
from engine.dsiem_format.saved_document import SavedDocument, parse_saved_alarms
from shards.durable import sync_folder

MAX_FILE_BYTES = 1 << 30
"""A longer file is set aside without reading it."""
_PART_ALARMS = 200
"""Alarms that are encoded together; their number bounds memory and the delay of a deadline."""
_UNSYNCED_BYTES = 8 << 20
_encode = msgspec.json.Encoder().encode


class SavedFile(Struct, frozen=True):
    """Content of a file, and the time of its last change in ns since the epoch."""

    alarms: tuple[SavedAlarm, ...]
    mtime_ns: int


class WrittenFiles(Struct, frozen=True):
    """Directives whose files are complete; `fault`: why a file could not be written, or ""."""

    directives: list[int]
    fault: str = ""


class SavedFolder:
    """The files `<directive id>.json` of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, directives: Collection[int]) -> dict[int, SavedFile]:
        """Read the files of these directives; logs an unreadable file, and renames it to *.bad."""
        names = self._list_names()
        files = {
            directive: self._read(self._path(directive))
            for directive in directives
            if f"{directive}.json" in names
        }
        return {directive: file for directive, file in files.items() if file is not None}

    def write(self, saved: Mapping[int, Iterable[SavedAlarm]], until: float) -> WrittenFiles:
        """Write a file for each directive atomically, in this order, as long as there is time.

        `until`: the end of that time, in time.monotonic(). A file that is not complete by then, or
        that cannot be written, is left out; one that was there before stays.
        """
        written: list[int] = []
        fault = ""
        for directive, alarms in saved.items():
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                if _replace_file(self._path(directive), _encode_list(alarms), until):
                    written.append(directive)
            except OSError as error:
                fault = fault or f"{error.filename}: {error.strerror}"
        try:
            if written:
                sync_folder(self._folder)
        except OSError as error:
            return WrittenFiles([], f"{error.filename}: {error.strerror}")
        return WrittenFiles(written, fault)

    def remove(self, directives: Iterable[int]) -> None:
        """Remove the existing files of these directives; raises OSError."""
        existing = [path for path in map(self._path, directives) if path.exists()]
        for path in existing:
            path.unlink(missing_ok=True)
        if existing:
            sync_folder(self._folder)

    def _path(self, directive: int) -> Path:
        return self._folder / f"{directive}.json"

    def _list_names(self) -> frozenset[str]:
        """All names in the folder; none if it does not exist, or cannot be read (logged)."""
        try:
            return frozenset(os.listdir(self._folder))  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            _log_error(self._folder, _reason(error), "saved backlogs cannot be looked for")
            return frozenset()

    def _read(self, path: Path) -> SavedFile | None:
        try:
            data, mtime_ns = _read_regular_file(path)
            document = parse_saved_alarms(data)
        except FileNotFoundError:
            return None  # another process that shares the folder has removed it
        except _NotRegularFileError:
            _log_error(path, "it is not a regular file", "saved backlogs cannot be read")
            return None
        except (OSError, ValueError) as error:
            _set_aside(path, _reason(error))
            return None
        if document.faults:
            _log_faults(path, document)
        return SavedFile(document.alarms, mtime_ns)

    def write_open(self, backlogs: Mapping[int, Collection[Backlog]], until: float) -> list[int]:
        """Write open backlogs by directive, the smallest files first; logs what is left out.

        Directives that other Dsiem backends would read otherwise are in the checkpoint alone.
        Returns the directives of complete files. `until`: as in `write`.
        """
        backlogs = {id_: some for id_, some in backlogs.items() if are_portable(some)}
        smallest_first = sorted(backlogs, key=lambda id_: len(backlogs[id_]))
        saved = {id_: saved_alarms(backlogs[id_]) for id_ in smallest_first}
        written = self.write(saved, until)
        left_out = backlogs.keys() - set(written.directives)
        number = sum(len(backlogs[id_]) for id_ in left_out)
        log = logger.bind(directives=len(left_out), backlogs=number)
        if written.fault:
            log.error(f"backlogs are not saved: {written.fault}")
        elif left_out:
            log.warning("no time was left to save all backlogs: the others are in the checkpoint")
        return written.directives


class _NotRegularFileError(Exception):
    """The path is a folder, a pipe or the like."""


def _read_regular_file(path: Path) -> tuple[bytes, int]:
    """The bytes of a file and its mtime in ns.

    Raises _NotRegularFileError, OSError, and ValueError if it is longer than MAX_FILE_BYTES.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
        raise _NotRegularFileError
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_FILE_BYTES:
            raise ValueError(f"it has {status.st_size} bytes, must be at most {MAX_FILE_BYTES}")
        return file.read(MAX_FILE_BYTES), status.st_mtime_ns


def _encode_list(alarms: Iterable[SavedAlarm]) -> Iterator[bytes]:
    """The JSON list of the alarms in parts, each of them not too long."""
    alarms = iter(alarms)
    start = b"["
    while part := list(islice(alarms, _PART_ALARMS)):
        yield start + _encode(part)[1:-1]
        start = b","
    yield b"]" if start == b"," else b"[]"


def _replace_file(path: Path, parts: Iterable[bytes], until: float) -> bool:
    """Replace a file atomically; raises OSError with its name, and then leaves it as it was.

    False if time runs out; then, too. Parts are synced as they are written, so that the time for
    that is known.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            unsynced = 0
            for part in parts:
                if time.monotonic() >= until:
                    temporary.unlink()
                    return False
                file.write(part)
                unsynced += len(part)
                if unsynced > _UNSYNCED_BYTES:
                    file.flush()
                    os.fdatasync(file.fileno())
                    unsynced = 0
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    return True


def _log_faults(path: Path, document: SavedDocument) -> None:
    """Log the items of a file that are not alarms, and keep the file as *.bad too."""
    for fault in document.faults:
        _log_error(path, fault, "a saved backlog cannot be read")
    bad = _bad_path(path)
    try:
        bad.unlink(missing_ok=True)
        bad.hardlink_to(path)
    except OSError as error:
        _log_error(bad, _reason(error), "the file cannot be kept under this name")


def _set_aside(path: Path, reason: str) -> None:
    """Log the reason why a file is unreadable, and rename it to *.bad."""
    bad = _bad_path(path)
    _log_error(path, reason, f"saved backlogs cannot be read, and are set aside as {bad.name}")
    try:
        path.replace(bad)
    except OSError as error:
        _log_error(bad, _reason(error), "the file cannot be set aside under this name")


def _bad_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.bad")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _log_error(path: Path, reason: str, message: str) -> None:
    logger.bind(file=str(path), why=reason).error(message)
