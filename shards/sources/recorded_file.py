"""A file of recorded events, as people have them: plain or compressed, as lines or as an array."""

import io
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import cast

from shards.errors import PathError
from shards.sources.compression import DECOMPRESSION_ERRORS, decompressed
from shards.sources.json_splitter import JsonSplitter
from shards.sources.recorded_event import RecordedEvent, decode_recorded_event

STDIN = "-"


class RecordedFile:
    """One file of events; `size` is in bytes as stored, 0 if it is a stream."""

    def __init__(self, name: str) -> None:
        """Check that the file can be read; PathError if not."""
        self.name = name
        self.is_stream = True
        """Whether it can be read only once: standard input, or a pipe."""
        self.size = 0
        self._stored: io.BufferedReader | None = None
        self._rises = 0
        self._falls = 0
        if name != STDIN:
            self._check()

    def _check(self) -> None:
        try:
            status = Path(self.name).stat()
            self.is_stream = stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)
            if not self.is_stream:
                self.size = status.st_size
                Path(self.name).open("rb").close()
        except OSError as error:
            raise PathError(f"{self.name} cannot be read: {error.strerror}") from error

    @property
    def position(self) -> int:
        """Number of stored bytes that have been read; 0 for a stream."""
        if self.is_stream or self._stored is None:
            return 0
        return self.size if self._stored.closed else self._stored.tell()

    @property
    def is_newest_first(self) -> bool:
        """Whether the events read so far go back in time far more often than forward."""
        return self._falls > 2 * self._rises

    def events(self) -> Iterator[RecordedEvent]:
        """All events, also invalid ones, in the order of the file, from its beginning.

        PathError if the file cannot be read further: it is gone, or compressed and damaged.
        """
        try:
            with self._open() as stored:
                yield from self._events_of(stored)
        except (OSError, *DECOMPRESSION_ERRORS) as error:
            raise PathError(f"{self.name} cannot be read to its end: {error}") from error

    def _open(self) -> AbstractContextManager[io.BufferedReader]:
        if self.name == STDIN:
            return nullcontext(cast(io.BufferedReader, sys.stdin.buffer))
        return Path(self.name).open("rb")

    def _events_of(self, stored: io.BufferedReader) -> Iterator[RecordedEvent]:
        self._stored = stored
        self._rises = self._falls = 0
        name, before = self.name, None
        for raw, line, column in JsonSplitter(decompressed(stored)):
            event = decode_recorded_event(name, raw, line, column)
            time = event.time
            if time is not None and time != before:
                if before is None or time > before:
                    self._rises += before is not None
                else:
                    self._falls += 1
                before = time
            yield event
