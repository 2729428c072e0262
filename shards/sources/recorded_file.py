"""Recorded events: NDJSON from files, also gzipped, or from standard input.

Lines are bytes and not decoded here. A line of any length needs little memory.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from engine.event import MAX_EVENT_BYTES
from shards.errors import PathError

STDIN = "-"
_GZIP = b"\x1f\x8b"
_LIMIT = MAX_EVENT_BYTES + 2
"""One byte more than the longest valid line with its newline."""


class RecordedFile:
    """One file of events; `size` is in bytes as stored, 0 for standard input."""

    def __init__(self, name: str) -> None:
        """Open the file; PathError if that fails."""
        self.name = name
        try:
            stored = sys.stdin.buffer if name == STDIN else Path(name).open("rb")  # noqa: SIM115
        except OSError as error:
            raise PathError(f"{name} cannot be read: {error.strerror}") from error
        self._stored = cast(io.BufferedReader, stored)
        self.size = 0 if name == STDIN else Path(name).stat().st_size

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.name != STDIN:
            self._stored.close()

    def position(self) -> int:
        """Number of stored bytes that have been read."""
        return 0 if self.name == STDIN else self._stored.tell()

    def lines(self) -> Iterator[bytes]:
        """The non-blank lines without their ends; a line that is too long is cut.

        PathError if the file cannot be read further: a folder, or a damaged gzip file.
        """
        try:
            yield from _lines(self._unpacked())
        except (OSError, EOFError, zlib.error) as error:
            raise PathError(f"{self.name} cannot be read to its end: {error}") from error

    def _unpacked(self) -> BinaryIO:
        if self._stored.peek(2)[:2] == _GZIP:
            return io.BufferedReader(gzip.GzipFile(fileobj=self._stored))
        return self._stored


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(_LIMIT):
        too_long = len(line) == _LIMIT and not line.endswith(b"\n")
        if too_long:
            _skip_rest(stream)
        line = line.rstrip(b"\r\n")
        if too_long or (line and not line.isspace()):
            yield line


def _skip_rest(stream: BinaryIO) -> None:
    """Skip the rest of a line that is too long."""
    while (piece := stream.readline(_LIMIT)) and not piece.endswith(b"\n"):
        pass
