"""Finds keys that stand twice in one object, which decoding does not show: the last one wins.

The objects of which all keys are there after decoding cost one encoding; only others are searched.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from engine.errors import Finding

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_encode = msgspec.json.Encoder().encode
_LISTED = 20
"""Number of repeated keys that are listed for one item of a document."""


def find_duplicate_keys(data: bytes, decoded: Any) -> list[Finding]:
    """The keys that are repeated in JSON, at any level; offsets count from its first byte.

    `data` is valid JSON, and `decoded` the value that it was decoded to.
    """
    return [] if _has_all_keys(data, decoded) else list(islice(_repeated_keys(data), _LISTED))


def top_level_duplicates(data: bytes, colons_below: int, keys: int) -> list[Finding]:
    """The repeated keys of a document itself: an object with `keys` different ones.

    `colons_below`: number of colons in its values, as they were decoded.
    """
    if data.count(b":") == colons_below + keys:
        return []
    return list(islice(_repeated_keys(data, deepest=1), _LISTED))


def _has_all_keys(data: bytes, decoded: Any) -> bool:
    """Whether no key was lost: each has a colon, and no colon was written as an escape.

    True only if that is certain: colons within texts are the same before and after decoding.
    """
    if b"\\u003" in data:
        return False
    try:
        return data.count(b":") == _encode(decoded).count(b":")
    except (OverflowError, RecursionError, msgspec.MsgspecError):  # a number of any length
        return False


def _repeated_keys(data: bytes, deepest: int | None = None) -> Iterator[Finding]:
    """The repeated keys down to a depth; the document's own are at depth 1."""
    open_: list[set[str] | None] = []
    at_key = False
    for token in _TOKEN.finditer(data):
        text = token[0]
        if text in (b"{", b"["):
            open_.append(set() if text == b"{" else None)
            at_key = text == b"{"
        elif text in (b"}", b"]"):
            open_.pop()
            at_key = False
        elif text == b",":
            at_key = open_[-1] is not None
        elif at_key:
            at_key = False
            keys = open_[-1]
            key = msgspec.json.decode(text, type=str)
            if keys is not None and (deepest is None or len(open_) <= deepest):
                if key in keys:
                    yield _duplicate(key, token.start())
                keys.add(key)


def _duplicate(key: str, offset: int) -> Finding:
    shown = key if len(key) <= 64 else key[:63] + "…"
    message = "is there a second time in one object, must be there once"
    return Finding("duplicate-key", message, offset=offset, field=shown)
