"""Reads what was appended to a file since a position, over rotations of the file.

Rotation renames the file, or copies and empties it; either may happen several times.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from shards.alarm_files import is_json
from shards.file_position import FilePosition, has_position

MAX_LINE_BYTES = 1 << 24
"""Longer lines are left out: those of an alarm have at most some thousand items."""
_CLOCK_NS = 50_000_000
"""By that much the times of files may be behind the clock."""
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip"}


class FilePart(Struct, frozen=True):
    """A file with lines since the position, from an offset on."""

    path: Path
    offset: int
    mtime_ns: int = 0


class AppendedLines:
    """The lines, without their newline; first those of the file that was at the position.

    After the iteration `why` says why some may be missing; "" if none is.
    """

    def __init__(self, path: Path, since: FilePosition, at_ns: int) -> None:
        """`at_ns`: when the file was at that position."""
        self._path = path
        self._since = since
        self._at_ns = at_ns
        self.why = ""

    def __iter__(self) -> Iterator[bytes]:
        try:
            parts = self.parts()
        except OSError as error:
            self.why = str(error.strerror)
            return
        for part in parts:
            try:
                with part.path.open("rb") as file:
                    file.seek(part.offset)
                    yield from self._lines(file)
            except OSError as error:  # it was removed, or its disk is faulty
                self.why = f"{part.path.name}: {error.strerror}"

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        while line := file.readline(MAX_LINE_BYTES):
            is_whole = line.endswith(b"\n")
            if not is_whole and len(line) == MAX_LINE_BYTES:
                _skip_line(file)
            elif is_whole or is_json(line):
                yield line.removesuffix(b"\n")

    def parts(self) -> list[FilePart]:
        """The files to read, the newest first after that of the position. OSError.

        A second file that was at the position is a copy, or what it was copied from.
        """
        since = self._since
        holders: list[tuple[bool, Path]] = []
        later: list[FilePart] = []
        for path, status in self._candidates():
            if self._was_there(path):
                holders.append((status.st_ino != since.inode, path))
            elif status.st_ino == since.inode or status.st_mtime_ns > self._at_ns - _CLOCK_NS:
                later.append(FilePart(path, 0, status.st_mtime_ns))
        later.sort(key=lambda part: -part.mtime_ns)
        if not holders:
            self.why = "a file that rotation has taken away is gone, or compressed"
            return later
        return [FilePart(min(holders)[1], since.offset), *later]

    def _was_there(self, path: Path) -> bool:
        """Whether a file was at the position; an unreadable one was not."""
        try:
            with path.open("rb") as file:
                return has_position(file, self._since)
        except OSError:
            return False

    def _candidates(self) -> Iterator[tuple[Path, os.stat_result]]:
        """The files in the folder that have the name of the file, with any end, or its inode."""
        for entry in os.scandir(self._path.parent):
            try:
                status = entry.stat()
            except OSError:  # a link to nowhere, or it was removed
                continue
            is_named = entry.name.startswith(self._path.name)
            if not stat.S_ISREG(status.st_mode) or Path(entry.name).suffix in _COMPRESSED:
                continue
            if is_named or status.st_ino == self._since.inode:
                yield Path(entry.path), status


def _skip_line(file: BinaryIO) -> None:
    """Skip the rest of a line that is too long."""
    while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
        pass
