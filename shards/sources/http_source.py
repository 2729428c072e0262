"""Events over HTTP: POST /events takes an object, an array or lines, and says what became of each.

What may live here: HTTP. What may not: how a body splits into events (body.py); what an event
means, where it goes, and the ledger: all three are the Intake's. Nothing of a body is handed on
before all of it has arrived; whatever a client sends, it holds the loop up for some 50 ms at most.
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
"""So many refused events are listed in an answer; `rejected_total` counts them all."""

_ALLOWED = {"/": ("GET", "HEAD"), "/events": ("POST",)}
_ABOUT = {"name": "dsiem-shards", "events": "POST /events"}
_PLAIN = ("", "identity")  # content encodings that need no unpacking
_SERVER = {"Server": "dsiem-shards"}
_NONE: Mapping[str, str] = MappingProxyType({})
_RETRY: Mapping[str, str] = MappingProxyType({"Retry-After": "1"})

_SLICE_COST = 1 << 20  # bytes of events between two turns of the loop,
_EVENT_COST = 1 << 11  # where each event counts for so many more: at most 512 of them
_CLOSE_SECONDS = 0.2  # for an answer that nobody reads, at a stop
_CONNECTION: dict[str, Any] = {
    "keepalive_timeout": 60.0,  # seconds, for an idle connection and for the head of a request
    "lingering_time": 2.0,  # seconds, for a client that still sends when it has its answer
    "auto_decompress": False,  # unpacked here, where it is bounded
    "access_log": None,
}


class RequestLimits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    `body_bytes` bounds one body, packed and unpacked; `all_bytes` what has arrived of all bodies
    at one time; `body_seconds` the reading of one; `stop_seconds` what is in progress at a stop.
    """

    body_bytes: int = 16 << 20
    all_bytes: int = 128 << 20
    body_seconds: float = 30.0
    stop_seconds: float = 1.0


class _Tally:
    """What became of the events of one body; a position counts events, so no blank lines."""

    def __init__(self) -> None:
        self.received = self.accepted = 0
        self._full = False
        self._listed: list[dict[str, int | str]] = []

    def note(self, refusal: Refusal | None) -> None:
        """Count one event."""
        if refusal is None:
            self.accepted += 1
        else:
            self._full |= refusal.reason == QUEUE_FULL
            if len(self._listed) < MAX_LISTED:
                self._listed.append({"position": self.received, **msgspec.structs.asdict(refusal)})
        self.received += 1

    def reply(self) -> web.Response:
        """Return the answer: 429 when trying again can help, 400 when nothing else was right."""
        total = self.received - self.accepted
        answer = {
            "received": self.received,
            "accepted": self.accepted,
            "rejected": self._listed,
            "rejected_total": total,
        }
        if self._full:
            return _reply(429, answer, _RETRY)
        return _reply(400 if total and not self.accepted else 200, answer)


class HttpSource:
    """The HTTP server: hands the events of each request to the intake, on the running loop."""

    def __init__(
        self,
        intake: EventSink,
        address: str,
        port: int,
        token: str = "",
        limits: RequestLimits | None = None,
    ) -> None:
        """Prepare to listen; port 0 is a free one, without a token everybody may post."""
        self._intake = intake
        self._place = (address, port)
        self._token = token.encode()
        self._limits = limits or RequestLimits()
        self._held = 0  # bytes of all bodies
        self._stopping = False
        self._running: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._runner: web.ServerRunner | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; return the address and port that it does. OSError when it cannot."""
        runner = web.ServerRunner(_Server(self._answer), shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._place).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        address, port = runner.addresses[0][:2]
        return address, port

    @property
    def feed(self) -> Feed:
        """Nothing: who posts knows what did not arrive."""
        return Feed()

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._runner is not None and not self._stopping

    async def stop(self) -> None:
        """Answer 503 from now on, wait for what is in progress (`stop_seconds`), then close."""
        self._stopping = True
        deadline = asyncio.get_running_loop().time() + self._limits.stop_seconds
        for running in self._running:
            running.reschedule(deadline)
        await self._idle.wait()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            reply = await self._serve(request)
        except RequestRefusedError as refused:
            reply = _reply(refused.status, {"error": refused.error}, refused.headers)
        except web.RequestPayloadError:
            reply = _reply(400, {"error": "the body is broken"})
        except ConnectionError:  # the client has gone
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
            raise RequestRefusedError(503, "stopping", _RETRY)
        if request.path not in _ALLOWED:
            raise RequestRefusedError(404, "no such path; post events to /events")
        allowed = _ALLOWED[request.path]
        if request.method not in allowed:
            raise RequestRefusedError(405, "method not allowed", {"Allow": ", ".join(allowed)})
        return _reply(200, _ABOUT) if request.path == "/" else await self._bounded(request)

    async def _bounded(self, request: web.BaseRequest) -> web.Response:
        """Serve a POST until it is done, or until a stop has waited long enough for it."""
        tally = _Tally()
        try:
            async with asyncio.timeout(None) as running:
                self._running.add(running)
                self._idle.clear()
                await self._post(request, tally)
        except TimeoutError:
            taken = f"stopping; only the first {tally.received} events were taken"
            raise RequestRefusedError(
                503, taken if tally.received else "stopping", _RETRY
            ) from None
        finally:
            self._running.discard(running)
            if not self._running:
                self._idle.set()
        return tally.reply()

    async def _post(self, request: web.BaseRequest, tally: _Tally) -> None:
        self._admit(request)
        await _continue(request)
        body = bytearray()
        try:
            await self._read(request, body)
            whole = bytes(body)
            if _encoding(request) not in _PLAIN:
                whole = await decompress(whole, self._limits.body_bytes)
            await self._take_all(whole, tally)
        finally:
            self._held -= len(body)

    def _admit(self, request: web.BaseRequest) -> None:
        """Refuse what can be refused before the body has been read."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if self._token and not (same and scheme.lower() == "bearer"):
            raise RequestRefusedError(401, "wrong or missing token", {"WWW-Authenticate": "Bearer"})
        if _encoding(request) not in (*_PLAIN, "gzip", "x-gzip", "deflate"):
            raise RequestRefusedError(
                415, "a body may be gzip or deflate", {"Accept-Encoding": "gzip, deflate"}
            )
        check_length(request.content_length or 0, self._limits.body_bytes)

    async def _read(self, request: web.BaseRequest, body: bytearray) -> None:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while chunk := await request.content.readany():
                    body += chunk
                    self._held += len(chunk)
                    check_length(len(body), self._limits.body_bytes)
                    if self._held > self._limits.all_bytes:
                        raise RequestRefusedError(503, "too many bodies at one time", _RETRY)
        except TimeoutError:
            raise RequestRefusedError(408, "the body took too long") from None

    async def _take_all(self, body: bytes, tally: _Tally) -> None:
        try:
            cost = _SLICE_COST  # to tell the events apart has cost one already
            for raw in split_events(body):
                if cost >= _SLICE_COST:
                    cost = 0
                    await asyncio.sleep(0)
                tally.note(self._intake.take(raw))
                cost += len(raw) + _EVENT_COST
        finally:
            self._intake.flush()


class _Connection(web.RequestHandler):
    """A connection that answers in our form, and without any detail, what is not HTTP."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - an override
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Return the answer, after which the connection is closed."""
        reply = _reply(status, {"error": "no valid HTTP request"})
        reply.force_close()
        return reply


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **_CONNECTION)


def _encoding(request: web.BaseRequest) -> str:
    return request.headers.get("Content-Encoding", "").strip().lower()


async def _continue(request: web.BaseRequest) -> None:
    """Tell a client that asks first, as curl does, to send its body."""
    expected = request.headers.get("Expect", "").lower()
    if expected == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


def _reply(status: int, value: object, headers: Mapping[str, str] = _NONE) -> web.Response:
    body = msgspec.json.encode(value) + b"\n"
    headers = {**_SERVER, **headers}
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")
