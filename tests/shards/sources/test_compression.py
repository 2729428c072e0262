"""Decompression: told by the content, streaming, and with bounded memory."""

import gzip
import io
from collections.abc import Callable

import pytest

from shards.sources.compression import DECOMPRESSION_ERRORS, decompressed
from tests.support.zstandard import zstd

SKIPPABLE = b"\x5a\x2a\x4d\x18\x04\x00\x00\x00abcd"
CONTENT = b"line\n" * 100_000


def read(stored: bytes) -> bytes:
    return decompressed(io.BufferedReader(io.BytesIO(stored))).read()


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"\x1f", b"\x28\xb5\x2f", CONTENT])
def test_each_form_is_told_by_its_content(content: bytes) -> None:
    assert read(content) == content
    assert read(gzip.compress(content)) == content
    assert read(zstd.compress(content)) == content


def test_files_may_be_joined() -> None:
    for compress in (gzip.compress, zstd.compress):
        assert read(compress(b"a\n") + compress(b"b\n")) == b"a\nb\n"
    assert read(SKIPPABLE + zstd.compress(b"a\n") + SKIPPABLE) == b"a\n"


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_damaged_file_is_an_error(compress: Callable[[bytes], bytes]) -> None:
    packed = compress(CONTENT)
    changed = packed[:-2] + bytes([packed[-2] ^ 0xFF]) + packed[-1:]
    for stored in (packed[:-1], packed[:5], compress(b"a") + b"junk", changed):
        with pytest.raises((OSError, *DECOMPRESSION_ERRORS)):
            read(stored)


def test_a_window_that_needs_much_memory_is_refused() -> None:
    options = {int(zstd.CompressionParameter.window_log): 28}
    packed = zstd.compress(b"a" * (1 << 20), options=options)
    compressor = zstd.ZstdCompressor(options=options)
    streamed = compressor.compress(b"a") + compressor.flush()  # of unknown size: a whole window
    assert len(read(packed)) == 1 << 20
    with pytest.raises(DECOMPRESSION_ERRORS, match="memory"):
        read(streamed)
