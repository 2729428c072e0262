"""Listening sockets: accepts TCP connections while there is room and while descriptors last."""

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from typing import Any

from loguru import logger

from shards.logs import RateLimit

_BACKLOG = 128  # connections that wait in the kernel to be accepted
_ACCEPTS_PER_TURN = 64
_RETRY_SECONDS = 1.0
"""Delay before the next attempt after a failure, and the interval of checks for room."""
_CONNECTION_FAILED = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})
"""Errors of one connection, not of the listening socket; others are a lack of resources."""


class Listener:
    """Passes accepted connections to `connect`; accepts none while `has_room` is false.

    If there is no room for a client that waits, it calls `make_room`, and accepts once there is.
    It does not use the server of the event loop, which accepts without limit: libuv closes it for
    good if it runs out of descriptors, and asyncio logs each attempt.
    """

    def __init__(
        self,
        connect: Callable[[socket.socket], None],
        has_room: Callable[[], bool],
        make_room: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._has_room = has_room
        self._make_room = make_room
        self._sockets: list[socket.socket] = []
        self._retry: asyncio.TimerHandle | None = None
        self._log_limit = RateLimit(most=1, seconds=60)

    async def start(self, address: str, port: int) -> tuple[str, int]:
        """Listen; returns the first address and port. OSError if that fails; port 0 is any."""
        found = await _resolve(address or None, port)
        try:
            for family, *_, place in dict.fromkeys(found):
                self._sockets.append(socket.create_server(place, family=family, backlog=_BACKLOG))
        except BaseException:
            self.close()
            raise
        for listening in self._sockets:
            listening.setblocking(False)
        self._resume()
        bound = self._sockets[0].getsockname()
        return bound[0], bound[1]

    def close(self) -> None:
        """Stop listening; accepted connections stay open."""
        self._pause()
        while self._sockets:
            self._sockets.pop().close()

    def resume(self) -> None:
        """Accept again, after a connection has ended."""
        if self._retry is not None and self._sockets:
            self._pause()
            self._resume()

    def _resume(self) -> None:
        self._retry = None
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.add_reader(listening, self._accept, listening)

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.remove_reader(listening)
        if self._retry is not None:
            self._retry.cancel()

    def _wait(self) -> None:
        self._pause()
        loop = asyncio.get_running_loop()
        self._retry = loop.call_later(_RETRY_SECONDS, self._resume)

    def _accept(self, listening: socket.socket) -> None:
        """Accept clients, at least one of which waits."""
        if not self._has_room():
            self._wait()
            return self._make_room()
        for _ in range(_ACCEPTS_PER_TURN):
            if not self._has_room():
                return None
            try:
                connection, _ = listening.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in _CONNECTION_FAILED:
                    continue
                if self._log_limit.allow("", time.monotonic()):
                    logger.error(f"connections cannot be accepted: {error.strerror}")
                return self._wait()
            connection.setblocking(False)
            self._connect(connection)
        return None


async def _resolve(address: str | None, port: int) -> list[tuple[Any, ...]]:
    """What getaddrinfo finds; only names take a thread."""
    passive, kind = socket.AI_PASSIVE, socket.SOCK_STREAM
    try:
        numeric = passive | socket.AI_NUMERICHOST
        return list(socket.getaddrinfo(address, port, type=kind, flags=numeric))
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return list(await loop.getaddrinfo(address, port, type=kind, flags=passive))
