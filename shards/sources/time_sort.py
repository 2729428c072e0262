"""Sorting recorded events by time, in temporary files if they do not fit into memory."""

import struct
from collections.abc import Iterable, Iterator
from operator import itemgetter
from tempfile import TemporaryFile
from typing import IO

from shards.errors import PathError
from shards.sources.recorded_event import RecordedEvent, decode_recorded_event
from shards.sources.time_merge import TimedEvent, merge_timed, timed

RUN_BYTES = 1 << 26
"""Memory for the events that are sorted at once, about."""
_EVENT_OVERHEAD = 1000
"""Memory of an event beside its raw JSON, in bytes."""
_MOST_RUNS = 64
"""So many runs of one size are merged into one; each is an open file."""
_HEADER = struct.Struct("<qIQQI")
"""Time, length of the file's name, line, column, and length of the raw JSON; name and JSON follow.

Each document of an index has a name of its own.
"""
_time = itemgetter(0)


class TimeSorter:
    """Sorts events by time; of equal times, and without one, they keep their order.

    Sorted runs of about `run_bytes` are written to temporary files without a name, which the system
    removes with the process. They are merged as they are read.
    """

    def __init__(self, run_bytes: int = RUN_BYTES) -> None:
        self._run_bytes = run_bytes
        self._levels: list[list[IO[bytes]]] = []
        """Runs; one of a level holds _MOST_RUNS of the level before."""
        self._failure: PathError | None = None
        """Why the events could not be read to their end."""

    def sort(self, events: Iterable[RecordedEvent]) -> Iterator[RecordedEvent]:
        """The events in the order of their times.

        PathError if the temporary folder has no room, or, after what could be read, if reading
        failed.
        """
        try:
            yield from self._sort(self._until_failure(events))
        finally:
            for file in self._runs():
                file.close()
        if self._failure:
            raise self._failure

    def _until_failure(self, events: Iterable[RecordedEvent]) -> Iterator[RecordedEvent]:
        try:
            yield from events
        except PathError as error:
            self._failure = error

    def _sort(self, events: Iterable[RecordedEvent]) -> Iterator[RecordedEvent]:
        run: list[TimedEvent] = []
        size = 0
        for time, event in timed(events):
            run.append((time, event))
            size += len(event.raw) + _EVENT_OVERHEAD
            if size > self._run_bytes:
                self._spill(run)
                run, size = [], 0
        run.sort(key=_time)
        for _, event in merge_timed([*map(self._read, self._runs()), run]):
            yield event

    def _runs(self) -> list[IO[bytes]]:
        """All runs in the order of their events."""
        return [file for level in reversed(self._levels) for file in level]

    def _spill(self, run: list[TimedEvent]) -> None:
        run.sort(key=_time)
        try:
            self._add(self._write(run), 0)
        except OSError as error:
            raise PathError(
                f"no room to sort in the temporary folder (TMPDIR): {error.strerror}"
            ) from error

    def _add(self, run: IO[bytes], number: int) -> None:
        """Add a run to a level; a full level becomes one run of the next."""
        if number == len(self._levels):
            self._levels.append([])
        level = self._levels[number]
        level.append(run)
        if len(level) == _MOST_RUNS:
            self._add(self._write(merge_timed(map(self._read, level))), number + 1)
            for file in level:
                file.close()
            level.clear()

    def _write(self, run: Iterable[TimedEvent]) -> IO[bytes]:
        file = TemporaryFile()  # noqa: SIM115
        for time, event in run:
            name = event.file.encode("utf-8", "surrogatepass")
            file.write(_HEADER.pack(time, len(name), event.line, event.column, len(event.raw)))
            file.write(name + event.raw)
        file.seek(0)
        return file

    def _read(self, file: IO[bytes]) -> Iterator[TimedEvent]:
        while header := file.read(_HEADER.size):
            time, name_length, line, column, length = _HEADER.unpack(header)
            name = file.read(name_length).decode("utf-8", "surrogatepass")
            yield time, decode_recorded_event(name, file.read(length), line, column)
