"""The downloaded files of the config folder: one set is exchanged for another, or stays whole.

What may live here: files, and which of them were downloaded. What may not: where they come from
(exchange.py), and which of them a node needs (frontend.py). Any OSError is the disk's.

A set arrives in a hidden folder. Once all of it is on the disk, that folder is renamed: from then
on the new set counts, and what is left to be done is done at once, or at the next start.
"""

import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from loguru import logger
from msgspec import Meta, Struct

from shards.config.config_folder import KEYS, config_files
from shards.durable import sync_folder

MANIFEST = ".downloaded.json"
_ARRIVING = ".downloading"
_ARRIVED = ".arrived"
_OURS = rf"^(?:{'|'.join(KEYS)})_[A-Za-z0-9_.-]*\.json\Z"
"""What may be downloaded, and so what may be removed."""


class Manifest(Struct, frozen=True):
    """Which files one download gave, when, and from where."""

    files: tuple[Annotated[str, Meta(pattern=_OURS)], ...]
    when: Annotated[datetime, Meta(tz=True)]
    source: str


class DownloadedFiles:
    """What was downloaded into a config folder; of one process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arriving = folder / _ARRIVING
        self._arrived = folder / _ARRIVED

    def recover(self) -> None:
        """Make the folder if it is missing; finish or undo what a crash has left there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._arrived.exists():
            self._roll_forward()
        self._discard()
        path = self._folder / MANIFEST
        if path.exists() and _read(path) is None:
            why = "it is no list of downloaded files; those that are there stay, as if by hand"
            logger.bind(file=str(path)).warning(f"the list of downloaded files is ignored: {why}")

    def last_good(self) -> Manifest | None:
        """Return what the set was that is there, if it is there whole."""
        if (self._arrived / MANIFEST).exists():  # some files of another set may be there already
            return None
        manifest = _read(self._folder / MANIFEST)
        if manifest is None:
            return None
        whole = all((self._folder / name).is_file() for name in manifest.files)
        return manifest if whole else None

    def by_hand(self) -> set[str]:
        """Return the names of the configuration files that were not downloaded."""
        there = {path.name for paths in config_files(self._folder).values() for path in paths}
        return there - self._names()

    def replace(self, files: Iterable[tuple[str, bytes]], source: str) -> Manifest:
        """Let these files, name and content, take the place of those downloaded before.

        Nothing has changed when getting them raises anything; the folder may not be in use else.
        """
        self._discard()
        self._arriving.mkdir()
        try:
            names = tuple(self._add(name, data) for name, data in files)
            manifest = Manifest(names, datetime.now(UTC), source)
            self._add(MANIFEST, msgspec.json.encode(manifest))
            sync_folder(self._arriving)
            self._arriving.rename(self._arrived)
        except BaseException:
            shutil.rmtree(self._arriving, ignore_errors=True)
            raise
        sync_folder(self._folder)
        self._roll_forward()
        return manifest

    def _add(self, name: str, data: bytes) -> str:
        with (self._arriving / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return name

    def _roll_forward(self) -> None:
        """Do what is left to be done for a committed set, which may have been begun before."""
        manifest = _read(self._arrived / MANIFEST)
        if manifest is not None:  # else it was the last to be moved
            for name in manifest.files:
                if (self._arrived / name).exists():
                    (self._arrived / name).replace(self._folder / name)
            for name in self._names().difference(manifest.files):
                (self._folder / name).unlink(missing_ok=True)
            sync_folder(self._folder)
            (self._arrived / MANIFEST).replace(self._folder / MANIFEST)
            sync_folder(self._folder)
        shutil.rmtree(self._arrived)

    def _names(self) -> set[str]:
        manifest = _read(self._folder / MANIFEST)
        return set(manifest.files) if manifest else set()

    def _discard(self) -> None:
        if self._arriving.exists():
            shutil.rmtree(self._arriving)


def _read(path: Path) -> Manifest | None:
    """Return the manifest of a file, None when it is missing or none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
