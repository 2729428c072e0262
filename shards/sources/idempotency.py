"""Remembers the responses to requests with an Idempotency-Key, so that a retry takes nothing twice.

As in the IETF draft "The Idempotency-Key HTTP Header Field". The memory is that of one process.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web
from msgspec import Struct

from shards.http_server import RETRY_HEADER, RequestRefusedError, response

MAX_KEY_BYTES = 255


class MemoryLimits(Struct, frozen=True, kw_only=True):
    """Bounds of the memory: number of keys, bytes of keys and responses, age in seconds."""

    keys: int = 10_000
    bytes: int = 32 << 20
    seconds: float = 600.0


class _Entry(Struct):
    digest: bytes
    at: float
    status: int = 0
    """0 while the request is in progress."""
    body: bytes = b""
    size: int = 0


class IdempotencyMemory:
    """Responses by key; the oldest are forgotten when the memory is full."""

    def __init__(self, now: Callable[[], float], limits: MemoryLimits | None = None) -> None:
        """`now`: a monotonic clock in seconds."""
        self._now = now
        self._limits = limits or MemoryLimits()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        """Answered requests, oldest first."""
        self._in_progress: dict[str, bytes] = {}
        """Hashes of bodies by key."""
        self.size = 0
        """Bytes of keys and responses."""

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, key: str, digest: bytes) -> web.Response | None:
        """Begin a request; returns the response if it was answered before.

        RequestRefusedError: 409 if it is in progress, 422 if its key was used for another body.
        """
        self._forget_old()
        entry = self._entries.get(key)
        known = entry.digest if entry else self._in_progress.get(key)
        if known is not None and known != digest:
            raise RequestRefusedError(422, "the Idempotency-Key was used for another body")
        if entry is not None:
            retry = RETRY_HEADER if entry.status == 429 else {}
            return response(
                entry.status,
                entry.body,
                "application/json",
                {**retry, "Idempotency-Replayed": "true"},
            )
        if known is not None:
            raise RequestRefusedError(
                409, "a request with this Idempotency-Key is in progress", RETRY_HEADER
            )
        self._in_progress[key] = digest
        return None

    def end(self, key: str, answer: web.Response | None) -> None:
        """End a request; None forgets it, since none of its events was taken."""
        digest = self._in_progress.pop(key)
        if answer is None or not isinstance(answer.body, bytes):
            return
        size = len(key) + len(answer.body)
        self._entries[key] = _Entry(digest, self._now(), answer.status, answer.body, size)
        self.size += size
        while len(self._entries) > self._limits.keys or self.size > self._limits.bytes:
            self._forget_first()

    def _forget_old(self) -> None:
        oldest = self._now() - self._limits.seconds
        while self._entries and next(iter(self._entries.values())).at < oldest:
            self._forget_first()

    def _forget_first(self) -> None:
        _, entry = self._entries.popitem(last=False)
        self.size -= entry.size


def check_key(key: str) -> str:
    """The key of a request, "" for none; RequestRefusedError if it is too long."""
    if len(key.encode("utf-8", "surrogateescape")) > MAX_KEY_BYTES:
        raise RequestRefusedError(400, f"an Idempotency-Key may have {MAX_KEY_BYTES} bytes")
    return key


def digest_of(body: bytes) -> bytes:
    """The hash that tells two bodies apart."""
    return hashlib.blake2b(body, digest_size=16).digest()
