"""A deadline for a whole HTTP exchange: its connections are shut down when it passes.

The timeout of a socket is no deadline: it starts anew with every byte.
"""

import os
import socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

STOPPING = "was not waited for: stopping"
_CHECK_SECONDS = 0.1  # interval of checks of the clock and of the stop event

_sockets_of_deadline: ContextVar[list[socket.socket]] = ContextVar("_sockets_of_deadline")
"""Duplicated sockets of the connections made in this thread since the deadline was set."""


class Deadline:
    """Shuts down the connections made inside its `with` after `seconds`, or when `stop` is set.

    To the reader this looks as if the server had closed the connection; `reason` says more.
    """

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self.reason = ""
        """Why connections were shut down, as the end of a sentence; "" while they were not."""
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._stop = stop
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._token = _sockets_of_deadline.set(self._sockets)
        _watcher.add(self)
        return self

    def __exit__(self, *about: object) -> None:
        _watcher.remove(self)
        _sockets_of_deadline.reset(self._token)
        for handle in self._sockets:
            handle.close()

    @property
    def holds_connection(self) -> bool:
        """Whether it can shut down a connection; otherwise it bounds nothing."""
        return bool(self._sockets)

    def check(self) -> None:
        """Shut connections down if the deadline has passed or the stop event is set."""
        if self._stop.is_set():
            self._shut_down(STOPPING)
        elif time.monotonic() >= self._until:
            self._shut_down(f"did not come whole within {self._seconds:.3g} s")

    def _shut_down(self, reason: str) -> None:
        self.reason = reason
        for handle in tuple(self._sockets):
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)


class _Watcher:
    """One thread that checks all deadlines; a thread for each would cost a fifth of an exchange."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        """Held during checks: the sockets of a deadline are closed only after its removal."""
        self._watched: set[Deadline] = set()
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            self._watched.add(deadline)
            if len(self._watched) == 1:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._watched.discard(deadline)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._watched)
                for deadline in self._watched:
                    deadline.check()
            time.sleep(_CHECK_SECONDS)


_watcher = _Watcher()


class DeadlineAdapter(HTTPAdapter):
    """Makes connections under the current deadline; LookupError without one."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools of connections under a deadline."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make pools of connections to a proxy under a deadline."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


# `_new_conn` is no public method of urllib3: requirements pin its version, and the client of a
# deadline checks `holds_connection`, since a renamed method would remove the deadline silently.


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _register(super()._new_conn())


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:  # before TLS: a server can drip its handshake too
        return _register(super()._new_conn())


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _PlainPool, "https": _TlsPool}


def _register(connected: socket.socket) -> socket.socket:
    _sockets_of_deadline.get().append(socket.socket(fileno=os.dup(connected.fileno())))
    return connected
