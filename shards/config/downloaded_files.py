"""The downloaded files of the configuration folder: one set replaces another, completely or not at
all.

A set arrives in a hidden folder. Once all of it is on the disk and found valid, that folder is
renamed: from then on the new set counts, and the remaining steps are done at once, or at the next
start. A faulty set stays in the hidden folder, to be looked at, until the next download.
"""

import filecmp
import os
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from loguru import logger
from msgspec import Meta, Struct

from shards.config.config_folder import LIST_KEYS, FilesByKind, config_files
from shards.config.problem import ProblemList
from shards.durable import sync_folder

MANIFEST = ".downloaded.json"
_INCOMING_FOLDER = ".incoming"
_COMPLETE_FOLDER = ".arrived"
_FILE_NAME_PATTERN = rf"^(?:{'|'.join(LIST_KEYS)})_[A-Za-z0-9_.-]*\.json\Z"
"""The names of files that may be downloaded, and so removed."""


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


class DownloadedFiles:
    """The downloaded files of a folder; for one process at a time. OSError if the disk fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / _INCOMING_FOLDER
        self._complete = folder / _COMPLETE_FOLDER

    def recover(self) -> None:
        """Create the folder if missing; finish or undo an interrupted replacement."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._complete.exists():
            self._install()
        self._remove_incoming()
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
        check: Callable[[FilesByKind], None] = lambda _: None,
    ) -> Manifest:
        """Replace the downloaded files by these (name, content) pairs; returns their manifest.

        An exception of the iterable leaves the present set unchanged. `check` gets all files that
        there will be, if the new set differs from the present one, and there is one: its
        FaultyConfigError leaves the present set unchanged too. Nobody else may use the folder
        meanwhile.
        """
        self._remove_incoming()
        self._incoming.mkdir()
        try:
            names = tuple(self._write_file(name, data) for name, data in files)
            manifest = Manifest(names, datetime.now(UTC), source)
            self._write_file(MANIFEST, msgspec.json.encode(manifest))
            sync_folder(self._incoming)
            if self.last_good() is not None and not self._is_present(names):
                check(self._files_with(names))
            self._incoming.rename(self._complete)
        except FaultyConfigError:
            raise
        except BaseException:
            shutil.rmtree(self._incoming, ignore_errors=True)
            raise
        sync_folder(self._folder)
        self._install()
        return manifest

    def _write_file(self, name: str, data: bytes) -> str:
        with (self._incoming / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return name

    def _is_present(self, names: Iterable[str]) -> bool:
        """Whether the arrived files are those that are there already."""
        return set(names) == self._names() and all(
            filecmp.cmp(self._incoming / name, self._folder / name, shallow=False) for name in names
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
        shutil.rmtree(self._complete)

    def _names(self) -> set[str]:
        manifest = _read(self._folder / MANIFEST)
        return set(manifest.files) if manifest else set()

    def _remove_incoming(self) -> None:
        if self._incoming.exists():
            shutil.rmtree(self._incoming)


def _read(path: Path) -> Manifest | None:
    """Read a manifest; None if it is missing or invalid."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
