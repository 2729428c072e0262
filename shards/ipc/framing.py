"""Encoding of messages between processes.

A frame is a length of four bytes (big endian) and that many bytes of MessagePack.
"""

import asyncio
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from shards.ipc.messages import AlarmLines, Batch, FromChild, ToChild, WorkerReport
from shards.ledger import to_counter

_LENGTH_BYTES = 4
LINES_BYTES = 1 << 20
"""Bytes of lines in a frame, unless a single line is longer."""
MAX_FRAME_BYTES = 1 << 28
"""Longest frame: the line of an alarm with some million addresses fits into it."""


class FrameError(ValueError):
    """A frame is longer than MAX_FRAME_BYTES, or does not hold the expected message."""


decode_from_child = msgspec.msgpack.Decoder(FromChild, dec_hook=to_counter).decode
"""Decodes a message from a child's control pipe."""
decode_to_child = msgspec.msgpack.Decoder(ToChild).decode
"""Decodes a message from the supervisor."""
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_report = msgspec.msgpack.Decoder(AlarmLines | WorkerReport).decode
_encoder = msgspec.msgpack.Encoder()


def encode_report(report: WorkerReport) -> Iterator[bytes]:
    """Encode a report as frames: of a large one the lines go ahead, at the end are the counts.

    So the counts never hold more than the lines that have arrived.
    """
    if len(report.alarm_events) + len(report.alarms) > LINES_BYTES:
        for lines in _split_lines(report.alarm_events):
            yield encode_frame(AlarmLines(lines, b""))
        for lines in _split_lines(report.alarms):
            yield encode_frame(AlarmLines(b"", lines))
        report = replace(report, alarm_events=b"", alarms=b"")
    yield encode_frame(report)


def _split_lines(lines: bytes) -> Iterator[bytes]:
    """Parts of at most LINES_BYTES, split at ends of lines; a longer line is a part of its own."""
    start = 0
    while start < len(lines):
        end = min(start + LINES_BYTES, len(lines))
        end = lines.rfind(b"\n", start, end) + 1 or lines.index(b"\n", end) + 1
        yield lines[start:end]
        start = end


def encode_frame(message: Batch | AlarmLines) -> bytes:
    """Encode a batch of raw events, alarm lines or a report as a frame; FrameError if too long."""
    payload = _encoder.encode(message)
    if len(payload) > MAX_FRAME_BYTES:
        raise FrameError(_too_long(len(payload)))
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


def _too_long(length: int) -> str:
    return f"a frame has {length} bytes, the limit is {MAX_FRAME_BYTES}"


async def read_batch(reader: asyncio.StreamReader) -> Batch | None:
    """Read the next batch of raw events; None at the end of the pipe. FrameError."""
    payload = await _read_frame(reader)
    return None if payload is None else _decode_batch(payload)


async def read_report(reader: asyncio.StreamReader) -> AlarmLines | None:
    """Read the next report of a worker, or lines; None at the end of the pipe. FrameError."""
    payload = await _read_frame(reader)
    try:
        return None if payload is None else _decode_report(payload)
    except msgspec.DecodeError as error:
        raise FrameError(f"a frame is not a report: {error}") from error


async def _read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Read a payload; None at the end of the pipe, in the middle of a frame too (a death)."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        if length > MAX_FRAME_BYTES:
            raise FrameError(_too_long(length))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
