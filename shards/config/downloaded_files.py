"""The downloaded files of the configuration folder: one set replaces another, completely or not at
all.

A set arrives in a hidden folder. Once all of it is found valid and on the disk, that folder is
renamed: from then on the new set counts, and the remaining steps are done at once, or before the
next download. A faulty set is set aside in another hidden folder, with its problems, until there is
another faulty one or a good one.
"""

import filecmp
import os
import shutil
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from loguru import logger
from msgspec import Meta, Struct

from shards.config.config_files import LIST_KEYS, FilesByKind, config_files
from shards.config.problem import ProblemList
from shards.durable import sync_folder
from shards.progress import TrackProgress, untracked

MANIFEST = ".downloaded.json"
FAULTY_FOLDER = ".faulty"
PROBLEMS = "problems.txt"
"""The file in the folder of a faulty set that lists its problems."""
_INCOMING_FOLDER = ".incoming"
_COMPLETE_FOLDER = ".arrived"
_FILE_NAME_PATTERN = rf"^(?:{'|'.join(LIST_KEYS)})_[A-Za-z0-9_.-]*\.json\Z"
"""The names of files that may be downloaded, and so removed."""
_encode = msgspec.json.encode


class Manifest(Struct, frozen=True):
    """The files of a download, its time and its source."""

    files: tuple[Annotated[str, Meta(pattern=_FILE_NAME_PATTERN)], ...]
    when: Annotated[datetime, Meta(tz=True)]
    source: str


class FaultyConfigError(Exception):
    """A downloaded set is not valid; `problems` say why."""

    def __init__(self, problems: ProblemList) -> None:
        faults = "1 fault" if problems.faults == 1 else f"{problems.faults:,} faults"
        super().__init__(f"the downloaded configuration has {faults}")
        self.problems = problems


class Download(Struct, frozen=True):
    """What a download has led to.

    `is_new`: whether the files differ from those before it. `trouble`: why the last download is
    used, or ""; `problems`: those of the newest one, if it is faulty.
    """

    is_new: bool
    trouble: str = ""
    problems: ProblemList | None = None


class DownloadedFiles:
    """The downloaded files of a folder; for one process at a time. OSError if the disk fails."""

    def __init__(self, folder: Path, track_progress: TrackProgress = untracked) -> None:
        self._folder = folder
        self._incoming = folder / _INCOMING_FOLDER
        self._complete = folder / _COMPLETE_FOLDER
        self._faulty = folder / FAULTY_FOLDER
        self._track_progress = track_progress

    def recover(self) -> None:
        """Create the folder if missing; finish or undo an interrupted replacement."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._complete.exists():
            self._install()
        _remove(self._incoming)
        path = self._folder / MANIFEST
        if path.exists() and _read(path) is None:
            why = "it is no list of downloaded files; those that are there stay, as if by hand"
            logger.bind(file=str(path)).warning(f"the list of downloaded files is ignored: {why}")

    def last_good(self) -> Manifest | None:
        """The manifest of the present set; None if the set is not complete."""
        if (self._complete / MANIFEST).exists():  # files of two sets may be mixed
            return None
        manifest = _read(self._folder / MANIFEST)
        if manifest is None:
            return None
        whole = all((self._folder / name).is_file() for name in manifest.files)
        return manifest if whole else None

    def manual_files(self) -> set[str]:
        """The names of the configuration files that were not downloaded."""
        there = {path.name for paths in config_files(self._folder).values() for path in paths}
        return there - self._names()

    def replace(
        self,
        files: Iterable[tuple[str, bytes]],
        source: str,
        check: Callable[[FilesByKind], ProblemList],
    ) -> bool:
        """Replace the downloaded files by these (name, content) pairs, unless they are the same.

        Returns whether they differ; then `check` gets all files that there will be, and returns
        their problems, which name the files where they are after this. An exception of the iterable
        leaves the present set unchanged, and so does a fault: FaultyConfigError. Nobody else may
        use the folder meanwhile.
        """
        _remove(self._incoming)
        self._incoming.mkdir()
        try:
            names = tuple(self._write_file(*file) for file in self._track_progress(files))
            self._write_file(MANIFEST, _encode(Manifest(names, datetime.now(UTC), source)))
            if self._is_present(names):
                self._renew_manifest()
                return False
            problems = check(self._files_with(names))
            if problems.faults:
                self._set_aside(problems)
                raise FaultyConfigError(problems)
            self._sync_incoming(names)
            self._incoming.rename(self._complete)
        finally:
            shutil.rmtree(self._incoming, ignore_errors=True)
        sync_folder(self._folder)
        self._install()
        problems.move(self._incoming, self._folder)
        return True

    def _write_file(self, name: str, data: bytes) -> str:
        with (self._incoming / name).open("xb") as file:
            file.write(data)
        return name

    def _sync_incoming(self, names: Iterable[str]) -> None:
        for name in self._track_progress((*names, MANIFEST)):
            _sync_file(self._incoming / name)
        sync_folder(self._incoming)

    def _renew_manifest(self) -> None:
        """Let the present set be the newest one."""
        _sync_file(self._incoming / MANIFEST)
        (self._incoming / MANIFEST).replace(self._folder / MANIFEST)
        _remove(self._faulty)

    def _set_aside(self, problems: ProblemList) -> None:
        """Keep the arrived set, which is faulty, and its problems in a folder of its own."""
        problems.move(self._incoming, self._faulty)
        try:
            text = "".join(f"{line}\n" for line in problems.lines())
            (self._incoming / PROBLEMS).write_text(text, "utf-8", "backslashreplace")
            _remove(self._faulty)
            self._incoming.rename(self._faulty)
        except OSError as error:
            logger.warning(f"a faulty configuration cannot be set aside: {error}")

    def _is_present(self, names: Collection[str]) -> bool:
        """Whether the arrived files are those that are there already."""
        last = self.last_good()
        return (
            last is not None
            and set(names) == set(last.files)
            and all(
                filecmp.cmp(self._incoming / name, self._folder / name, shallow=False)
                for name in names
            )
        )

    def _files_with(self, names: Iterable[str]) -> FilesByKind:
        """The arrived files, and those that stay, in reading order."""
        paths = [self._incoming / name for name in names]
        paths += [self._folder / name for name in self.manual_files().difference(names)]
        paths.sort(key=lambda path: path.name)
        return {
            kind: [path for path in paths if path.name.startswith(f"{kind}_")] for kind in LIST_KEYS
        }

    def _install(self) -> None:
        """Move the files of a complete set into place; it may have been interrupted before."""
        manifest = _read(self._complete / MANIFEST)
        if manifest is not None:  # without a manifest all files have been moved
            for name in manifest.files:
                if (self._complete / name).exists():
                    (self._complete / name).replace(self._folder / name)
            for name in self._names().difference(manifest.files):
                (self._folder / name).unlink(missing_ok=True)
            sync_folder(self._folder)
            (self._complete / MANIFEST).replace(self._folder / MANIFEST)
            sync_folder(self._folder)
        _remove(self._complete)
        _remove(self._faulty)

    def _names(self) -> set[str]:
        manifest = _read(self._folder / MANIFEST)
        return set(manifest.files) if manifest else set()


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _read(path: Path) -> Manifest | None:
    """Read a manifest; None if it is missing or invalid."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None


def describe_disk_error(error: OSError, folder: Path) -> str:
    """Why the files of a folder cannot be replaced, for people."""
    return f"{error.filename or folder} cannot be used: {error.strerror or error}"
