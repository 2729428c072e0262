"""Request bodies: splitting into events, decompression, and their limits."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from shards.http_server import RequestRefusedError
from shards.sources.request_body import (
    MAX_COMMAS,
    decompress,
    split_events,
)


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'{"a": 1}', [b'{"a": 1}']),
        (b' \n{"a":\n1}\n', [b'{"a":\n1}']),
        (b'{"a": 1}\n{"b": 2}\r\n\n{"c', [b'{"a": 1}', b'{"b": 2}', b'{"c']),
        (b'[{"a": 1}, 2, [3]]', [b'{"a": 1}', b"2", b"[3]"]),
        (b"[]", []),
        (b"nonsense", [b"nonsense"]),
    ],
)
def test_a_value_an_array_and_lines_are_split_by_content(body: bytes, events: list[bytes]) -> None:
    assert [event.strip() for event in split_events(body)] == events


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b" \n", 400, "empty"),
        (b"[1, 2", 400, "no JSON"),
        (b"[1, nonsense]", 400, "byte"),
        (b"[" * 100_000, 400, "nested too deep"),
        (b"[" + b"1," * (MAX_COMMAS + 1) + b"1]", 413, "commas"),
    ],
)
def test_an_invalid_array_is_refused(body: bytes, status: int, text: str) -> None:
    with pytest.raises(RequestRefusedError, match=text) as refused:
        list(split_events(body))
    assert refused.value.status == status


def test_a_deeply_nested_value_is_one_event() -> None:
    assert len(list(split_events(b'{"a":' * 100_000))) == 1


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_gzip_and_zlib_are_decompressed(pack: Callable[[bytes], bytes]) -> None:
    body = b'{"a": 1}\n' * 10_000
    assert b"".join(decompress(pack(body), len(body))) == body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(bytes(10**8)), 413),
        (gzip.compress(b"x" * 100)[:-5], 400),
        (gzip.compress(b"x") + b"more", 400),
        (b"plain", 400),
    ],
    ids=["bomb", "cut", "two streams", "plain text"],  # gzip writes the time
)
def test_a_bomb_a_cut_stream_and_plain_text_are_refused(body: bytes, status: int) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        b"".join(decompress(body, 1000))
    assert refused.value.status == status
