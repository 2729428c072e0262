"""When an HTTP exchange has to be over: its connections are cut then, whatever they wait for.

What may live here: sockets and time. What may not: what is said over them (exchange.py). The
timeout of a socket is no deadline: it begins anew with every byte, even of a status line.
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
_LOOK_SECONDS = 0.1  # between two looks at the clock and at the stop

_handles: ContextVar[list[socket.socket]] = ContextVar("_handles")
"""Of the connections made in this thread since the deadline was set: second handles, ours alone."""


class Deadline:
    """Cuts what is connected inside its `with`, once the time is over or a stop is wanted.

    To whoever reads there it looks as if the server had ended the connection; `why` says more.
    """

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self.why = ""
        """Why it has cut connections, as the end of a sentence; empty while it has not."""
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._stop = stop
        self._own: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._token = _handles.set(self._own)
        _watcher.add(self)
        return self

    def __exit__(self, *about: object) -> None:
        _watcher.remove(self)
        _handles.reset(self._token)
        for handle in self._own:
            handle.close()

    def look(self) -> None:
        """Cut, if it is time."""
        if self._stop.is_set():
            self._cut(STOPPING)
        elif time.monotonic() >= self._until:
            self._cut(f"did not come whole within {self._seconds:.3g} s")

    def _cut(self, why: str) -> None:
        self.why = why
        for handle in tuple(self._own):
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)


class _Watcher:
    """One thread that looks at all deadlines; a thread each would cost a fifth of an exchange."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        """Held while it looks: the handles of a deadline are closed only after it was removed."""
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
                    deadline.look()
            time.sleep(_LOOK_SECONDS)


_watcher = _Watcher()


class DeadlineAdapter(HTTPAdapter):
    """Makes connections that a deadline knows of; none outside of one."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools of such connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make pools of such connections to a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _noted(super()._new_conn())


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:  # before TLS: a server can drip its handshake too
        return _noted(super()._new_conn())


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _PlainPool, "https": _TlsPool}


def _noted(connected: socket.socket) -> socket.socket:
    _handles.get().append(socket.socket(fileno=os.dup(connected.fileno())))
    return connected
