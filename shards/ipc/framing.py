"""Encoding of messages between processes.

A frame is a length of four bytes (big endian) and that many bytes of MessagePack.
"""

import asyncio
from collections import Counter

import msgspec

from shards.ipc.messages import FromChild, ToChild, WorkerReport

_LENGTH_BYTES = 4


def _to_counter(_: type, counts: dict[str, int]) -> Counter[str]:
    return Counter(counts)


decode_from_child = msgspec.msgpack.Decoder(FromChild, dec_hook=_to_counter).decode
"""Decodes a message from a child's control pipe."""
decode_to_child = msgspec.msgpack.Decoder(ToChild).decode
"""Decodes a message from the supervisor."""
_batches = msgspec.msgpack.Decoder(list[bytes])
_reports = msgspec.msgpack.Decoder(WorkerReport, dec_hook=_to_counter)
_encoder = msgspec.msgpack.Encoder()


def encode_frame(message: list[bytes] | WorkerReport) -> bytes:
    """A batch of raw events, or a worker's report, as it goes over a pipe."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


async def read_batch(reader: asyncio.StreamReader) -> list[bytes] | None:
    """The next batch of raw events; None at the end of the pipe."""
    payload = await _read_frame(reader)
    return None if payload is None else _batches.decode(payload)


async def read_report(reader: asyncio.StreamReader) -> WorkerReport | None:
    """A worker's next report; None at the end of the pipe."""
    payload = await _read_frame(reader)
    return None if payload is None else _reports.decode(payload)


async def _read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """A payload; None at the end, also for one whose writer died in the middle of it."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
