"""Events over HTTP: POST /events takes an object, an array or lines, and reports the fate of each.

Events of a body are passed on only after all of it has arrived. No request holds up the event loop
for more than some 50 ms.
"""

import asyncio
import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from aiohttp import web
from loguru import logger
from msgspec import Struct

from shards.ledger import Feed
from shards.sources.event_source import QUEUE_FULL, EventSink, Refusal
from shards.sources.request_body import RequestRefusedError, check_length, decompress, split_events

MAX_LISTED = 100
"""Maximum number of refused events in a response; `rejected_total` counts all."""

_ALLOWED_METHODS = {"/": ("GET", "HEAD"), "/events": ("POST",)}
_INDEX_DOCUMENT = {"name": "dsiem-shards", "events": "POST /events"}
_NO_COMPRESSION = ("", "identity")  # content encodings without compression
_SERVER_HEADER = {"Server": "dsiem-shards"}
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_RETRY_HEADER: Mapping[str, str] = MappingProxyType({"Retry-After": "1"})

_SLICE_BYTES = 1 << 20
_EVENT_OVERHEAD_BYTES = 1 << 11
"""Between two turns of the event loop: bytes of events, each with this overhead (512 at most)."""
_CLOSE_SECONDS = 0.2  # seconds for a response that nobody reads, at a stop
_CONNECTION_OPTIONS: dict[str, Any] = {
    "keepalive_timeout": 60.0,  # seconds, for an idle connection and for the head of a request
    "lingering_time": 2.0,  # seconds, for a client that still sends after its response
    "auto_decompress": False,  # decompressed here, within bounds
    "access_log": None,
}


class RequestLimits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    `body_bytes`: one body, compressed and decompressed; `all_bytes`: all bodies in memory;
    `body_seconds`: reading one body; `stop_seconds`: requests in progress at a stop.
    """

    body_bytes: int = 16 << 20
    all_bytes: int = 128 << 20
    body_seconds: float = 30.0
    stop_seconds: float = 1.0


class _EventResults:
    """The results of the events of one body; positions count events, not blank lines."""

    def __init__(self) -> None:
        self.received = self.accepted = 0
        self._full = False
        self._rejected: list[dict[str, int | str]] = []

    def note(self, refusal: Refusal | None) -> None:
        """Count one event, with the refusal if there is one."""
        if refusal is None:
            self.accepted += 1
        else:
            self._full |= refusal.reason == QUEUE_FULL
            if len(self._rejected) < MAX_LISTED:
                self._rejected.append(
                    {"position": self.received, **msgspec.structs.asdict(refusal)}
                )
        self.received += 1

    def reply(self) -> web.Response:
        """The response: 429 if a retry can help, 400 if no event was accepted, else 200."""
        total = self.received - self.accepted
        answer = {
            "received": self.received,
            "accepted": self.accepted,
            "rejected": self._rejected,
            "rejected_total": total,
        }
        if self._full:
            return _reply(429, answer, _RETRY_HEADER)
        return _reply(400 if total and not self.accepted else 200, answer)


class HttpSource:
    """An HTTP server that passes the events of each request to a sink, on the running loop."""

    def __init__(
        self,
        sink: EventSink,
        address: str,
        port: int,
        token: str = "",
        limits: RequestLimits | None = None,
    ) -> None:
        """Port 0 is any free one; without a token everybody may post."""
        self._sink = sink
        self._address = (address, port)
        self._token = token.encode()
        self._limits = limits or RequestLimits()
        self._held_bytes = 0  # bytes of all bodies
        self._stopping = False
        self._active: set[asyncio.Timeout] = set()
        self._no_active = asyncio.Event()
        self._no_active.set()
        self._runner: web.ServerRunner | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; returns address and port. OSError if that fails."""
        runner = web.ServerRunner(_WebServer(self._handle), shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._address).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        address, port = runner.addresses[0][:2]
        return address, port

    @property
    def feed(self) -> Feed:
        """No counts: the sender knows which events did not arrive."""
        return Feed()

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._runner is not None and not self._stopping

    async def stop(self) -> None:
        """Answer 503 from now on, wait `stop_seconds` for requests in progress, and close."""
        self._stopping = True
        deadline = asyncio.get_running_loop().time() + self._limits.stop_seconds
        for running in self._active:
            running.reschedule(deadline)
        await self._no_active.wait()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            reply = await self._serve(request)
        except RequestRefusedError as refused:
            reply = _reply(refused.status, {"error": refused.error}, refused.headers)
        except web.RequestPayloadError:
            reply = _reply(400, {"error": "the body is broken"})
        except ConnectionError:  # the client is gone
            raise
        except Exception:
            logger.exception("request failed")
            reply = _reply(500, {"error": "internal error"})
        if self._stopping or not request.content.is_eof():
            reply.force_close()
        about = {"method": request.method, "path": request.path, "status": reply.status}
        logger.bind(**about).debug("HTTP request")
        return reply

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        if self._stopping:
            raise RequestRefusedError(503, "stopping", _RETRY_HEADER)
        if request.path not in _ALLOWED_METHODS:
            raise RequestRefusedError(404, "no such path; post events to /events")
        allowed = _ALLOWED_METHODS[request.path]
        if request.method not in allowed:
            raise RequestRefusedError(405, "method not allowed", {"Allow": ", ".join(allowed)})
        return (
            _reply(200, _INDEX_DOCUMENT) if request.path == "/" else await self._serve_post(request)
        )

    async def _serve_post(self, request: web.BaseRequest) -> web.Response:
        """Serve a POST; a stop limits its time."""
        tally = _EventResults()
        try:
            async with asyncio.timeout(None) as running:
                self._active.add(running)
                self._no_active.clear()
                await self._read_and_take(request, tally)
        except TimeoutError:
            taken = f"stopping; only the first {tally.received} events were taken"
            raise RequestRefusedError(
                503, taken if tally.received else "stopping", _RETRY_HEADER
            ) from None
        finally:
            self._active.discard(running)
            if not self._active:
                self._no_active.set()
        return tally.reply()

    async def _read_and_take(self, request: web.BaseRequest, tally: _EventResults) -> None:
        self._check_head(request)
        await _send_continue(request)
        body = bytearray()
        try:
            await self._read(request, body)
            whole = bytes(body)
            if _encoding(request) not in _NO_COMPRESSION:
                whole = await decompress(whole, self._limits.body_bytes)
            await self._take_events(whole, tally)
        finally:
            self._held_bytes -= len(body)

    def _check_head(self, request: web.BaseRequest) -> None:
        """Check token, encoding and length before the body is read."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if self._token and not (same and scheme.lower() == "bearer"):
            raise RequestRefusedError(401, "wrong or missing token", {"WWW-Authenticate": "Bearer"})
        if _encoding(request) not in (*_NO_COMPRESSION, "gzip", "x-gzip", "deflate"):
            raise RequestRefusedError(
                415, "a body may be gzip or deflate", {"Accept-Encoding": "gzip, deflate"}
            )
        check_length(request.content_length or 0, self._limits.body_bytes)

    async def _read(self, request: web.BaseRequest, body: bytearray) -> None:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while chunk := await request.content.readany():
                    body += chunk
                    self._held_bytes += len(chunk)
                    check_length(len(body), self._limits.body_bytes)
                    if self._held_bytes > self._limits.all_bytes:
                        raise RequestRefusedError(503, "too many bodies at one time", _RETRY_HEADER)
        except TimeoutError:
            raise RequestRefusedError(408, "the body took too long") from None

    async def _take_events(self, body: bytes, tally: _EventResults) -> None:
        try:
            cost = _SLICE_BYTES  # splitting the body has cost one slice already
            for raw in split_events(body):
                if cost >= _SLICE_BYTES:
                    cost = 0
                    await asyncio.sleep(0)
                tally.note(self._sink.take(raw))
                cost += len(raw) + _EVENT_OVERHEAD_BYTES
        finally:
            self._sink.flush()


class _RequestHandler(web.RequestHandler):
    """Answers invalid HTTP in the same form as other errors, and without details."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - an override
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """The response, after which the connection is closed."""
        reply = _reply(status, {"error": "no valid HTTP request"})
        reply.force_close()
        return reply


class _WebServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=asyncio.get_running_loop(), **_CONNECTION_OPTIONS)


def _encoding(request: web.BaseRequest) -> str:
    return request.headers.get("Content-Encoding", "").strip().lower()


async def _send_continue(request: web.BaseRequest) -> None:
    """Answer `Expect: 100-continue`, so that the client sends its body."""
    expected = request.headers.get("Expect", "").lower()
    if expected == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the response itself has not begun


def _reply(status: int, value: object, headers: Mapping[str, str] = _NO_HEADERS) -> web.Response:
    body = msgspec.json.encode(value) + b"\n"
    headers = {**_SERVER_HEADER, **headers}
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")
