"""Positions in the alarm files: where a file was at its end at some moment.

A position is found again after rotation: by the inode of the file, or by what stands before it.
"""

import os
from typing import BinaryIO

import msgspec
from msgspec import Struct
from xxhash import xxh64_intdigest

_TAIL_BYTES = 1024
"""Bytes before a position that tell a file from one that has got its inode, and from its rest."""


class FilePosition(Struct, frozen=True, array_like=True):
    """The end of a file at some moment; `tail`: hash of the last bytes before it."""

    inode: int
    offset: int
    tail: int


class FilePositions(Struct, frozen=True, array_like=True):
    """The ends of both alarm files at one moment; `at`: that moment, in ns since the epoch."""

    at: int
    alarms: FilePosition
    alarm_events: FilePosition


def position_at(descriptor: int, offset: int) -> FilePosition:
    """A position in an open file. OSError if it cannot be read."""
    return FilePosition(os.fstat(descriptor).st_ino, offset, _hash_before(descriptor, offset))


def end_of_file(descriptor: int) -> FilePosition:
    """The present end of an open file. OSError if it cannot be read."""
    return position_at(descriptor, os.fstat(descriptor).st_size)


def has_position(file: BinaryIO, position: FilePosition) -> bool:
    """Whether a file, or the one that it is a copy of, was at that position. OSError."""
    status, offset = os.fstat(file.fileno()), position.offset
    if not offset:  # nothing stands before it
        return status.st_ino == position.inode
    return offset <= status.st_size and _hash_before(file.fileno(), offset) == position.tail


def _hash_before(descriptor: int, offset: int) -> int:
    start = max(0, offset - _TAIL_BYTES)
    return xxh64_intdigest(os.pread(descriptor, offset - start, start))


def decode_positions(data: bytes) -> FilePositions | None:
    """The positions in MessagePack; None if it holds none."""
    try:
        positions = msgspec.msgpack.decode(data, type=FilePositions)
    except msgspec.DecodeError:
        return None
    offsets = positions.alarms.offset, positions.alarm_events.offset
    return positions if all(0 <= offset < 1 << 63 for offset in offsets) else None
