"""The spool: accepted events on disk, in segment files, until all checkpoints hold their effect.

A segment is named by the position of its first event. It begins with a random number, which the
checksums of its records depend on: so no event can pretend to be a record. After a torn or damaged
record the next whole one is found by its mark; the positions tell how many events are missing.
"""

import os
import struct
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from xxhash import xxh64_intdigest

from shards.durable import sync_folder

SEGMENT_BYTES = 16 << 20
"""Size from which on a segment is followed by another one."""
_MARK = b"\xff\xfeDS"
_SEGMENT_HEADER = struct.Struct("<8sQ")
"""A name of the format, and the random number."""
_FORMAT = b"DSSPOOL1"
_RECORD_HEADER = struct.Struct("<4sIQ")
"""Mark, length and checksum of a record."""
_SUFFIX = ".spool"
_DIGITS = 20


class SpoolRecord(Struct, frozen=True, array_like=True):
    """Events with consecutive positions from `first` on; `now`: in seconds since the epoch."""

    first: int
    now: int
    events: list[bytes]

    @property
    def last(self) -> int:
        """The position of the last event."""
        return self.first + len(self.events) - 1


_decode = msgspec.msgpack.Decoder(SpoolRecord).decode
_encode = msgspec.msgpack.Encoder().encode


class Spool:
    """The segments in a folder; one thread at a time calls. OSError with a name if it fails."""

    def __init__(self, folder: Path, above: int = 0) -> None:
        """Open the folder, and create it if it is missing.

        `above`: a position that was used, after which it goes on if no event has a later one.
        """
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        self._segments = sorted(map(_first_of, filter(_is_segment, folder.iterdir())))
        """First positions of the segments."""
        self._descriptor = -1
        """Of the segment that is written; the first write begins one."""
        self._seed = self._size = 0
        self.missing = 0
        """Events that could not be read, since their records are damaged or gone."""
        self.last = above
        """The position of the last event."""
        if self._segments:
            self.last = max(above, self._segments[-1] - 1)
            for record in self._records(self._segments[-1]):
                self.last = max(self.last, record.last)

    @property
    def first(self) -> int:
        """The position of the first event that can be there."""
        return self._segments[0] if self._segments else self.last + 1

    def read(self, after: int, counted: int = 0) -> Iterator[SpoolRecord]:
        """Read all records with events after a position, without those up to it.

        `counted`: the position up to which missing events have been counted before.
        """
        expected = after + 1
        for first, following in pairwise([*self._segments, sys.maxsize]):
            if following <= expected:
                continue
            for record in self._records(first):
                if record.first >= following:
                    break  # a write that failed, and could not be undone
                if record.last < expected:
                    continue
                self.missing += max(0, record.first - max(expected, counted + 1))
                skip = max(0, expected - record.first)
                expected = record.last + 1
                events = record.events[skip:]
                yield replace(record, first=record.first + skip, events=events) if skip else record
        self.missing += max(0, self.last + 1 - max(expected, counted + 1))

    def _records(self, first: int) -> Iterator[SpoolRecord]:
        """The whole records of a segment, in their order."""
        data = self._path(first).read_bytes()
        if len(data) < _SEGMENT_HEADER.size:
            return
        _, seed = _SEGMENT_HEADER.unpack_from(data)
        at = data.find(_MARK, _SEGMENT_HEADER.size)
        while 0 <= at <= len(data) - _RECORD_HEADER.size:
            _, length, checksum = _RECORD_HEADER.unpack_from(data, at)
            start = at + _RECORD_HEADER.size
            payload = data[start : start + length]
            if len(payload) == length and xxh64_intdigest(payload, seed) == checksum:
                yield _decode(payload)
                at = data.find(_MARK, start + length)
            else:
                at = data.find(_MARK, at + 1)

    def append(self, batches: Sequence[tuple[int, list[bytes]]]) -> list[SpoolRecord]:
        """Append batches of events, each with its time; returns when they are on the disk.

        If that fails, none of them is there, and the next call tries again.
        """
        records, first = [], self.last + 1
        for now, events in batches:
            records.append(SpoolRecord(first, now, events))
            first += len(events)
        try:
            if self._descriptor < 0 or self._size >= SEGMENT_BYTES:
                self._begin_segment()
            self._write_durably(b"".join(map(self._frame, records)))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._folder)) from error
        self.last = first - 1
        return records

    def _write_durably(self, data: bytes) -> None:
        try:
            _write(self._descriptor, data)
            os.fdatasync(self._descriptor)
        except OSError:
            self._undo()
            raise
        self._size += len(data)

    def _frame(self, record: SpoolRecord) -> bytes:
        payload = _encode(record)
        checksum = xxh64_intdigest(payload, self._seed)
        return _RECORD_HEADER.pack(_MARK, len(payload), checksum) + payload

    def _begin_segment(self) -> None:
        first = self.last + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path(first), flags, 0o640)
        self._seed = int.from_bytes(os.urandom(8), "little")
        try:
            _write(descriptor, _SEGMENT_HEADER.pack(_FORMAT, self._seed))
            sync_folder(self._folder)
        except BaseException:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor, self._size = descriptor, _SEGMENT_HEADER.size
        if not self._segments or self._segments[-1] != first:
            self._segments.append(first)

    def _undo(self) -> None:
        """Remove what a failed write has left; if that fails too, a new segment makes it void."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self.close()

    def forget(self, position: int) -> None:
        """Remove the segments that hold nothing after a position."""
        while len(self._segments) > 1 and self._segments[1] <= position + 1:
            self._path(self._segments[0]).unlink(missing_ok=True)
            del self._segments[0]

    def close(self) -> None:
        """Close the segment that is written; the next write begins another one."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:0{_DIGITS}}{_SUFFIX}"


def _is_segment(path: Path) -> bool:
    return path.suffix == _SUFFIX and len(path.stem) == _DIGITS and path.stem.isdecimal()


def _first_of(path: Path) -> int:
    return int(path.stem)


def _write(descriptor: int, data: bytes) -> None:
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(descriptor, view[written:])
