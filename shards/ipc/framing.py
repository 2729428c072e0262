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
_decode_batch = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_report = msgspec.msgpack.Decoder(WorkerReport, dec_hook=_to_counter).decode
_encoder = msgspec.msgpack.Encoder()


def encode_frame(message: list[bytes] | WorkerReport) -> bytes:
    """Encode a batch of raw events or a worker's report as a frame."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


async def read_batch(reader: asyncio.StreamReader) -> list[bytes] | None:
    """Read the next batch of raw events; None at the end of the pipe."""
    payload = await _read_frame(reader)
    return None if payload is None else _decode_batch(payload)


async def read_report(reader: asyncio.StreamReader) -> WorkerReport | None:
    """Read the next report of a worker; None at the end of the pipe."""
    payload = await _read_frame(reader)
    return None if payload is None else _decode_report(payload)


async def _read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Read a payload; None at the end of the pipe, in the middle of a frame too (a death)."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
