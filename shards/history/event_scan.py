"""Finds the events that an alarm has taken in the alarm events file, which has no index.

The history knows where the file ended every some seconds, so only the part from the first line of
the alarm to its last one is read. Its bytes are searched, not decoded: some gigabytes a second.
"""

import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from engine.alarm import AlarmEvent
from shards.file_position import FilePosition
from shards.rotated_files import AppendedLines, FilePart

MAX_EVENTS = 10_000
"""Events of an alarm that are found."""
MAX_SCAN_BYTES = 512 << 20
SCAN_SECONDS = 2.0
_CHUNK_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 16
"""Longer lines are no alarm events."""
_decode = msgspec.json.Decoder(AlarmEvent).decode

Positions = Sequence[tuple[float, FilePosition]]
"""Where the file ended, and when; the oldest first."""


class TakenEvent(Struct, frozen=True):
    """An event that an alarm has taken; `written`: when its line had been written, about."""

    stage: int
    event_id: str
    written: float


class TakenEvents(Struct, frozen=True):
    """The events of an alarm, in their order; `why` some may be missing, or ""."""

    events: list[TakenEvent]
    why: str = ""


def scan_events(path: Path, alarm: str, positions: Positions, until: float) -> TakenEvents:
    """The events of an alarm from the first position on, to the last one if that is of `until`.

    `until`: when its last line was written; without a position since then, to the end of the file.
    """
    if not positions:
        return TakenEvents([], "the history does not know where its events are")
    at, first = positions[0]
    appended = AppendedLines(path, first, int(at * 1e9))
    try:
        parts = appended.parts()
    except OSError as error:
        return TakenEvents([], str(error.strerror))
    scan = _Scan(alarm, positions, until)
    for part in (*parts[:1], *reversed(parts[1:])):
        try:
            with part.path.open("rb") as file:
                scan.read(file, part)
        except OSError as error:  # it was removed, or its disk is faulty
            scan.why = f"{part.path.name}: {error.strerror}"
    return TakenEvents(scan.events, scan.why or appended.why)


class _Scan:
    """The events found so far."""

    def __init__(self, alarm: str, positions: Positions, until: float) -> None:
        self._needle = f'"alarm_id":"{alarm}"'.encode()
        self._positions = positions
        self._written_until = until
        self._stop_at = time.monotonic() + SCAN_SECONDS
        self._bytes = 0
        self.events: list[TakenEvent] = []
        self.why = ""

    def read(self, file: BinaryIO, part: FilePart) -> None:
        """Search a file from an offset on."""
        inode = os.fstat(file.fileno()).st_ino
        marks = [(place.offset, at) for at, place in self._positions if place.inode == inode]
        end = marks[-1][0] if marks and marks[-1][1] >= self._written_until else None
        offset = part.offset
        file.seek(offset)
        for chunk in _whole_lines(file):
            for start, event in self._events_in(chunk):
                self.events.append(
                    TakenEvent(event.stage, event.event_id, self._time_of(marks, offset + start))
                )
            offset += len(chunk)
            self._bytes += len(chunk)
            if end is not None and offset >= end:
                return
            if self._is_enough():
                self.why = "there are too many events to look at"
                return

    def _is_enough(self) -> bool:
        return (
            len(self.events) >= MAX_EVENTS
            or self._bytes >= MAX_SCAN_BYTES
            or time.monotonic() >= self._stop_at
        )

    def _events_in(self, chunk: bytes) -> Iterator[tuple[int, AlarmEvent]]:
        found = chunk.find(self._needle)
        while found >= 0 and len(self.events) < MAX_EVENTS:
            start = chunk.rfind(b"\n", 0, found) + 1
            end = chunk.find(b"\n", found)
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):  # another program's line
                yield start, _decode(chunk[start:end])
            found = chunk.find(self._needle, end)

    def _time_of(self, marks: Sequence[tuple[int, float]], offset: int) -> float:
        """When the line at an offset had been written: at the first position after it, or now."""
        place = bisect_left(marks, (offset + 1, 0.0))
        return marks[place][1] if place < len(marks) else min(self._written_until, time.time())


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Chunks of whole lines; a line without its newline is left out."""
    rest = b""
    while read := file.read(_CHUNK_BYTES):
        whole, newline, rest = (rest + read).rpartition(b"\n")
        if newline:
            yield whole + newline
        elif len(rest) > _MAX_LINE_BYTES:
            rest = b""
