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
        self._over = threading.Event()
        self._own: list[socket.socket] = []
        self._thread = threading.Thread(target=self._look, name="deadline", daemon=True)

    def __enter__(self) -> Self:
        self._token = _handles.set(self._own)
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join()
        _handles.reset(self._token)
        for handle in self._own:
            handle.close()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if self._stop.is_set():
                self._cut(STOPPING)
            elif time.monotonic() >= self._until:
                self._cut(f"did not come whole within {self._seconds:.3g} s")

    def _cut(self, why: str) -> None:
        self.why = why
        for handle in tuple(self._own):
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)


class DeadlineAdapter(HTTPAdapter):
    """Makes connections that a deadline knows of; none outside of one."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make pools of such connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


class _Plain(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _note(self.sock)


class _Tls(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _note(self.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


def _note(connected: Any) -> None:
    _handles.get().append(socket.socket(fileno=os.dup(connected.fileno())))
