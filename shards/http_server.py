"""The HTTP server under both interfaces: bounded connections, with a deadline for each step.

The handler of a request answers within its own time limits; everything else is bounded here.
"""

import asyncio
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

import msgspec
from aiohttp import web
from loguru import logger
from msgspec import Struct

from shards.listener import Listener
from shards.logs import RateLimit

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
RETRY_HEADER: Mapping[str, str] = MappingProxyType({"Retry-After": "1"})
_SERVER_HEADER = {"Server": "dsiem-shards"}
_DESCRIPTORS_PART = 4
"""Connections use at most one in this many of the descriptors that the process may open."""
_EVICT_SECONDS = 1.0
"""How long a connection may wait for a request while others want its place."""
_CONNECTION_OPTIONS: dict[str, Any] = {
    "lingering_time": 2.0,  # seconds, for a client that still sends after its response
    "auto_decompress": False,  # handlers decompress, within bounds
    "access_log": None,
}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class RequestRefusedError(Exception):
    """A request is refused with a status; `error` is the reason, for the client."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = headers


class HttpLimits(Struct, frozen=True, kw_only=True):
    """Limits of the connections of a server; times in seconds.

    `connections`: open ones, which are also at most a quarter of the process's file descriptors;
    `head_seconds`: from the connection to the end of the head of its first request; `idle_seconds`:
    from a response to the end of the next head; `write_seconds`: for a client to read a response.
    """

    connections: int = 512
    head_seconds: float = 10.0
    idle_seconds: float = 60.0
    write_seconds: float = 30.0


class HttpServer:
    """Serves HTTP on the running event loop.

    When all connections are in use, the one that has waited longest for a request is closed, if
    that is a second or more; otherwise new clients wait to be accepted.
    """

    def __init__(self, handle: Handler, limits: HttpLimits | None = None) -> None:
        self._handle = handle
        self._limits = limits or HttpLimits()
        self.keep_alive = True
        """Whether connections stay open for further requests."""
        self._most = self._limits.connections
        self._open: set[socket.socket] = set()
        self._waiting: dict[_Connection, float] = {}
        """Connections that wait for a request, and since when; longest first."""
        self._connecting: set[asyncio.Task[Any]] = set()
        self._listener = Listener(self._connect, self._has_room, self._make_room)
        self._protocols = web.Server(self._serve)
        self._log_limit = RateLimit(most=5, seconds=60)
        self._full_log_limit = RateLimit(most=1, seconds=60)

    async def start(self, address: str, port: int) -> tuple[str, int]:
        """Listen; returns address and port. OSError if that fails; port 0 is any free one."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            self._most = max(1, min(self._limits.connections, soft // _DESCRIPTORS_PART))
        return await self._listener.start(address, port)

    async def close(self, seconds: float) -> None:
        """Stop listening; requests in progress have this long to end."""
        self._listener.close()
        await asyncio.sleep(0)  # for connections that have just been accepted
        self._protocols.pre_shutdown()
        await self._protocols.shutdown(seconds)
        for connection in tuple(self._waiting):
            connection.abort()

    def _has_room(self) -> bool:
        return len(self._open) < self._most

    def _make_room(self) -> None:
        """Close the connection that has waited longest for a request, if it has waited enough."""
        now = time.monotonic()
        for connection, since in self._waiting.items():
            if now - since >= _EVICT_SECONDS:
                connection.abort()
            break
        if self._full_log_limit.allow("", now):
            logger.bind(connections=self._most).warning("all HTTP connections are in use")

    def _connect(self, accepted: socket.socket) -> None:
        self._open.add(accepted)
        task = asyncio.create_task(self._open_connection(accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _open_connection(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: _Connection(self, accepted), accepted)
        except OSError:  # the client is gone already
            accepted.close()
            self.connection_closed(accepted)

    def connection_closed(self, accepted: socket.socket) -> None:
        """The socket is closed: there is room for another one."""
        self._open.discard(accepted)
        self._listener.resume()

    def is_waiting(self, connection: "_Connection", waiting: bool) -> None:
        """A connection begins or ends to wait for a request."""
        self._waiting.pop(connection, None)
        if waiting:
            self._waiting[connection] = time.monotonic()

    @property
    def limits(self) -> HttpLimits:
        """The limits of connections."""
        return self._limits

    @property
    def protocols(self) -> web.Server:
        """The registry of connections that aiohttp needs."""
        return self._protocols

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if isinstance(request.protocol, _Connection):
            request.protocol.begin_request()
        try:
            reply = await self._handle(request)
        except RequestRefusedError as refused:
            reply = json_response(refused.status, {"error": refused.error}, refused.headers)
        except ConnectionError:  # the client is gone
            raise
        except Exception as error:
            self.log_failure(error)
            reply = json_response(500, {"error": "internal error"})
        if not self.keep_alive or not request.content.is_eof():
            reply.force_close()
        about = {"method": request.method, "path": request.path, "status": reply.status}
        logger.bind(**about).debug("HTTP request")
        return reply

    def log_failure(self, error: BaseException | None) -> None:
        """Log a defect of this program, at most five times in a minute."""
        if self._log_limit.allow("", time.monotonic()):
            logger.opt(exception=error).error("request failed")


class _Connection(web.RequestHandler):
    """A connection: its deadline, and the same form of errors for invalid HTTP."""

    __slots__ = ("_accepted", "_deadline", "_server", "_stream")

    def __init__(self, server: HttpServer, accepted: socket.socket) -> None:
        super().__init__(
            server.protocols,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=server.limits.idle_seconds,
            **_CONNECTION_OPTIONS,
        )
        self._server = server
        self._accepted = accepted
        self._stream: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, and waits for a request."""
        self._stream = cast(asyncio.Transport, transport)  # that of uvloop is no subclass
        super().connection_made(transport)
        self._server.is_waiting(self, True)
        self._set_deadline(self._server.limits.head_seconds)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed."""
        self._set_deadline(None)
        self._server.is_waiting(self, False)
        super().connection_lost(exc)
        self._loop.call_soon(self._server.connection_closed, self._accepted)

    def begin_request(self) -> None:
        """The head of a request is complete; its handler has time limits of its own."""
        self._server.is_waiting(self, False)
        self._set_deadline(None)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the response; afterwards the connection waits for the next request, or closes."""
        self._server.is_waiting(self, False)
        self._set_deadline(self._server.limits.write_seconds)
        result = await super().finish_response(request, resp, start_time)
        if self.connected:
            limits = self._server.limits
            self._server.is_waiting(self, True)
            self._set_deadline(limits.idle_seconds if resp.keep_alive else limits.write_seconds)
        return result

    def abort(self) -> None:
        """Close at once: closing waits without limit for a client that does not read."""
        if self._stream is not None:
            self._stream.abort()

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self._loop.call_later(seconds, self.abort)

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - an override
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """The response to invalid HTTP, after which the connection is closed."""
        reply = json_response(status, {"error": "no valid HTTP request"})
        reply.force_close()
        return reply

    def log_exception(self, *_: Any, **about: Any) -> None:
        """Log a failure outside of a handler, at the same rate as failures of handlers."""
        self._server.log_failure(about.get("exc_info"))


def json_response(
    status: int, value: object, headers: Mapping[str, str] = NO_HEADERS
) -> web.Response:
    """A response with a JSON document."""
    return response(status, msgspec.json.encode(value) + b"\n", "application/json", headers)


def response(
    status: int, body: bytes, content_type: str, headers: Mapping[str, str] = NO_HEADERS
) -> web.Response:
    """A response; the server does not tell its version."""
    headers = {**_SERVER_HEADER, "Content-Type": content_type, **headers}
    return web.Response(status=status, body=body, headers=headers)
