"""Sessions of browsers that have logged in by the token, and limits on attempts to do so."""

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_SESSIONS = 200
"""Sessions at one time; a further one ends the oldest."""
SESSION_SECONDS = 12 * 3600
"""How long a session lasts."""
MAX_FAILURES = 10
"""Wrong tokens of one client, and ten times as many of all clients, within FAILURE_SECONDS."""
FAILURE_SECONDS = 60.0
MAX_CLIENTS = 256
"""Clients whose failures are kept."""


class Sessions:
    """The sessions, in memory: they end with the service."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._ends: OrderedDict[bytes, float] = OrderedDict()
        """By hash of the key of a session: when it ends."""

    def __len__(self) -> int:
        return len(self._ends)

    def begin(self) -> str:
        """The key of a new session."""
        key = secrets.token_urlsafe(32)
        self._ends[_hash(key)] = self._clock() + SESSION_SECONDS
        while len(self._ends) > MAX_SESSIONS:
            self._ends.popitem(last=False)
        return key

    def is_valid(self, key: str) -> bool:
        """Whether a session has this key and has not ended.

        Only hashes are compared, so the time that it takes tells nothing about keys.
        """
        ends = self._ends.get(_hash(key))
        if ends is None:
            return False
        if ends <= self._clock():
            self.end(key)
            return False
        return True

    def end(self, key: str) -> None:
        """End a session, if there is one with this key."""
        self._ends.pop(_hash(key), None)


class LoginLimit:
    """Limits the wrong tokens of a client, and of all clients."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._all: deque[float] = deque(maxlen=10 * MAX_FAILURES)
        self._by_client: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, client: str) -> bool:
        """Whether a client may try a token now."""
        return not (_is_full(self._all, self._clock()) or self._is_client_full(client))

    def _is_client_full(self, client: str) -> bool:
        failures = self._by_client.get(client)
        return failures is not None and _is_full(failures, self._clock())

    def note_failure(self, client: str) -> None:
        """A client has sent a wrong token."""
        failures = self._by_client.setdefault(client, deque(maxlen=MAX_FAILURES))
        self._by_client.move_to_end(client)
        while len(self._by_client) > MAX_CLIENTS:
            self._by_client.popitem(last=False)
        for kept in (failures, self._all):
            kept.append(self._clock())


def _is_full(failures: deque[float], now: float) -> bool:
    return len(failures) == failures.maxlen and failures[0] > now - FAILURE_SECONDS


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def is_same(given: str, token: bytes) -> bool:
    """Whether a token is the right one, in a time that tells nothing about it."""
    return hmac.compare_digest(_hash(given), hashlib.sha256(token).digest())
