"""The body of a request: unpacked within bounds, and split into events.

What may live here: bytes. What may not: HTTP itself (http_source.py), and what an event means. An
object, an array or lines are told apart by what they are, whatever the client calls them.
"""

import asyncio
import re
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw

MOST_COMMAS = 500_000
"""An array with more of them is refused: so many elements are told apart in 50 ms, in 50 MB."""
_UNPACK_BYTES = 1 << 12  # which become 4 MiB at the most
_BLANKS = re.compile(rb"[ \t\r\n]*")
_NONE: Mapping[str, str] = MappingProxyType({})

_value = msgspec.json.Decoder(Raw)
_array = msgspec.json.Decoder(list[Raw])


class RequestRefusedError(Exception):
    """A request that is not served; nothing of it was taken, unless `error` says so."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] = _NONE) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = headers


def check_length(length: int, most: int) -> None:
    """Refuse a body that is too long."""
    if length > most:
        raise RequestRefusedError(413, f"a body may have {most} bytes")


def split_events(body: bytes) -> Iterator[bytes]:
    """Tell the events of a body apart: one value, the elements of an array, or lines."""
    start = _after_blanks(body, 0)
    if start == len(body):
        raise RequestRefusedError(400, "the body is empty")
    if body.startswith(b"[", start):
        return map(bytes, _elements(body))
    try:
        return iter((bytes(_value.decode(body)),))
    except Exception:  # RecursionError is no MsgspecError
        return _lines(body, start)


def _elements(body: bytes) -> list[Raw]:
    if body.count(b",") > MOST_COMMAS:
        raise RequestRefusedError(
            413, f"an array may have {MOST_COMMAS} commas; lines have no such limit"
        )
    try:
        return _array.decode(body)
    except RecursionError:
        raise RequestRefusedError(400, "the array is nested too deep") from None
    except Exception as error:
        where = "" if "(byte" in str(error) else f" (byte {len(body)})"
        raise RequestRefusedError(400, f"the array is no JSON: {error}{where}") from None


def _lines(body: bytes, start: int) -> Iterator[bytes]:
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        yield body[start:end].rstrip(b" \t\r")
        start = _after_blanks(body, end)


def _after_blanks(body: bytes, start: int) -> int:
    blanks = _BLANKS.match(body, start)
    return blanks.end() if blanks else start


async def decompress(body: bytes, most: int) -> bytes:
    """A gzip or zlib body unpacked, if it is no longer than `most`; with turns for others."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, as it begins
    decompress = bytearray()
    for start in range(0, len(body), _UNPACK_BYTES):
        room = most + 1 - len(decompress)
        decompress += _unpack(unpacker, body[start : start + _UNPACK_BYTES], room)
        check_length(len(decompress), most)
        await asyncio.sleep(0)
    if not unpacker.eof or unpacker.unused_data:
        raise RequestRefusedError(400, "the body is not one whole gzip or zlib stream")
    return bytes(decompress)


def _unpack(unpacker: "zlib._Decompress", packed: bytes, most: int) -> bytes:
    try:
        return unpacker.decompress(packed, most)
    except zlib.error:
        raise RequestRefusedError(400, "the body is neither gzip nor zlib") from None
