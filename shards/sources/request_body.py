"""Request bodies: decompression within bounds, and splitting into events.

An object, an array and lines are told apart by their content, not by the content type.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import Raw

from shards.http_request import check_length
from shards.http_server import RETRY_HEADER, RequestRefusedError

MAX_COMMAS = 500_000
"""An array with more commas is refused: splitting this many takes 50 ms and 50 MB."""
_ELEMENT_BYTES = 100  # of memory for an element of an array: 50 MB for MAX_COMMAS
_DECOMPRESS_BYTES = 1 << 12  # which become at most 4 MiB
_BLANKS = re.compile(rb"[ \t\r\n]*")

_value = msgspec.json.Decoder(Raw)
_array = msgspec.json.Decoder(list[Raw])


class BodyMemory:
    """Bounds the memory of all bodies of a server, in bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0

    @contextmanager
    def share(self) -> Iterator["MemoryShare"]:
        """The share of one body, which is given back at the end of the context."""
        share = MemoryShare(self)
        try:
            yield share
        finally:
            self._used -= share.used

    def take(self, number: int) -> None:
        """Use more bytes; RequestRefusedError if there are not as many."""
        if self._used + number > self._most:
            raise RequestRefusedError(503, "too many bodies at one time", RETRY_HEADER)
        self._used += number


class MemoryShare:
    """The bytes that one body uses of a BodyMemory."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.used = 0

    def add(self, number: int) -> None:
        """Use more bytes; RequestRefusedError if all bodies together would use too many."""
        self._memory.take(number)
        self.used += number


def splitting_bytes(body: bytes) -> int:
    """An upper bound of the memory, besides the body, that its events need while it is split."""
    is_array = body.startswith(b"[", _after_blanks(body, 0))
    return body.count(b",") * _ELEMENT_BYTES if is_array else 0


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


def decompress(body: bytes, most: int) -> Iterator[bytes]:
    """Decompress a gzip or zlib body of at most `most` bytes, in chunks of at most 4 MiB.

    RequestRefusedError if it is longer, or not one whole stream.
    """
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, as it begins
    length = 0
    for start in range(0, len(body), _DECOMPRESS_BYTES):
        packed = body[start : start + _DECOMPRESS_BYTES]
        chunk = _decompress_chunk(decompressor, packed, most + 1 - length)
        length += len(chunk)
        check_length(length, most)
        yield chunk
    if not decompressor.eof or decompressor.unused_data:
        raise RequestRefusedError(400, "the body is not one whole gzip or zlib stream")


def _decompress_chunk(decompressor: "zlib._Decompress", packed: bytes, most: int) -> bytes:
    try:
        return decompressor.decompress(packed, most)
    except zlib.error:
        raise RequestRefusedError(400, "the body is neither gzip nor zlib") from None
