"""Decompression of recorded files: gzip and Zstandard, told by their first bytes.

A file of its own, so that only it knows the libraries.
"""

import gzip
import io
import sys
import zlib
from typing import BinaryIO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DECOMPRESSION_ERRORS = (EOFError, zlib.error, zstd.ZstdError)
"""What reading a damaged or cut file raises, beside OSError."""
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
"""Bytes 1 to 3 of a skippable frame, with which pzstd begins its files (RFC 8878, 3.1.2)."""


def decompressed(stored: io.BufferedReader) -> BinaryIO:
    """The content of a file, decompressed if it begins as a gzip or Zstandard file.

    Memory is bounded: what is decompressed is a stream, and libzstd refuses a window of more than
    128 MiB. The stream raises OSError or one of DECOMPRESSION_ERRORS if the file is damaged.
    """
    start = stored.peek(4)
    if start.startswith(_GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=stored))
    if start.startswith(_ZSTD) or start[1:4] == _ZSTD_SKIPPABLE:
        return io.BufferedReader(cast(io.RawIOBase, zstd.ZstdFile(stored)))
    return stored
