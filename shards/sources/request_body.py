"""Request bodies: decompression within bounds, and splitting into events.

An object, an array and lines are told apart by their content, not by the content type.
"""

import asyncio
import re
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw

MAX_COMMAS = 500_000
"""An array with more commas is refused: splitting this many takes 50 ms and 50 MB."""
_DECOMPRESS_BYTES = 1 << 12  # which become at most 4 MiB
_BLANKS = re.compile(rb"[ \t\r\n]*")
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_value = msgspec.json.Decoder(Raw)
_array = msgspec.json.Decoder(list[Raw])


class RequestRefusedError(Exception):
    """A request is refused with a status; none of its events was taken, unless `error` says so."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = headers


def check_length(length: int, most: int) -> None:
    """Raise RequestRefusedError if a body is too long."""
    if length > most:
        raise RequestRefusedError(413, f"a body may have {most} bytes")


def split_events(body: bytes) -> Iterator[bytes]:
    """Split a body into events: one value, the elements of an array, or lines.

    RequestRefusedError if it is empty or an invalid array.
    """
    start = _after_blanks(body, 0)
    if start == len(body):
        raise RequestRefusedError(400, "the body is empty")
    if body.startswith(b"[", start):
        return map(bytes, _elements(body))
    try:
        return iter((bytes(_value.decode(body)),))
    except Exception:  # RecursionError is not a MsgspecError
        return _lines(body, start)


def _elements(body: bytes) -> list[Raw]:
    if body.count(b",") > MAX_COMMAS:
        raise RequestRefusedError(
            413, f"an array may have {MAX_COMMAS} commas; lines have no such limit"
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
    """Decompress a gzip or zlib body of at most `most` bytes; yields to the event loop."""
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, as it begins
    content = bytearray()
    for start in range(0, len(body), _DECOMPRESS_BYTES):
        room = most + 1 - len(content)
        content += _decompress_chunk(decompressor, body[start : start + _DECOMPRESS_BYTES], room)
        check_length(len(content), most)
        await asyncio.sleep(0)
    if not decompressor.eof or decompressor.unused_data:
        raise RequestRefusedError(400, "the body is not one whole gzip or zlib stream")
    return bytes(content)


def _decompress_chunk(decompressor: "zlib._Decompress", packed: bytes, most: int) -> bytes:
    try:
        return decompressor.decompress(packed, most)
    except zlib.error:
        raise RequestRefusedError(400, "the body is neither gzip nor zlib") from None
