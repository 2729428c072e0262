"""Events over HTTP: POST /events takes an object, an array or lines, and says what became of each.

What may live here: HTTP, and how a body splits into events. What may not: what an event means,
where it goes, and the ledger: all three are the Intake's. Nothing of a body is handed on before
all of it has arrived, and whatever a client sends, the loop is held up for some 50 ms at most.
"""

import asyncio
import hmac
import re
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
from aiohttp import web
from loguru import logger
from msgspec import Raw, Struct

QUEUE_FULL = "queue_full"
MOST_LISTED = 100
"""So many refused events are listed in an answer; `rejected_total` counts them all."""

_ALLOWED = {"/": ("GET", "HEAD"), "/events": ("POST",)}
_ABOUT = {"name": "dsiem-shards", "events": "POST /events"}
_SERVER = {"Server": "dsiem-shards"}
_NONE: Mapping[str, str] = MappingProxyType({})
_RETRY: Mapping[str, str] = MappingProxyType({"Retry-After": "1"})

_BLANKS = re.compile(rb"[ \t\r\n]*")
_MOST_COMMAS = 500_000  # so many elements are told apart in 50 ms, and then take 50 MB
_SLICE_COST = 1 << 20  # bytes of events between two turns of the loop,
_EVENT_COST = 1 << 11  # where each event counts for so many more: at most 512 of them
_UNPACK_BYTES = 1 << 12  # which become 4 MiB at the most
_CLOSE_SECONDS = 0.2  # for an answer that nobody reads, at a stop
_CONNECTION: dict[str, Any] = {
    "keepalive_timeout": 60.0,  # seconds, for an idle connection and for the head of a request
    "lingering_time": 2.0,  # seconds, for a client that still sends when it has its answer
    "auto_decompress": False,  # unpacked here, where it is bounded
    "access_log": None,
}

_value = msgspec.json.Decoder(Raw)
_array = msgspec.json.Decoder(list[Raw])


class Refusal(Struct, frozen=True):
    """Why an event was not accepted: a reason of the ledger for invalid ones, or QUEUE_FULL."""

    reason: str
    detail: str


class Intake(Protocol):
    """Where events go, and who counts them."""

    def take(self, raw: bytes) -> Refusal | None:
        """Take one event and count it; None: accepted, be it routed, unmatched or whitelisted.

        A line comes as it stands, JSON or not; all else is one JSON value, maybe not an object.
        """

    def flush(self) -> None:
        """Hand on what was taken; called once a request, also when it fails half-way."""


class Limits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    `body_bytes` bounds one body, packed and unpacked; `all_bytes` what has arrived of all bodies
    at one time; `body_seconds` the reading of one; `stop_seconds` what is in progress at a stop.
    """

    body_bytes: int = 16 << 20
    all_bytes: int = 128 << 20
    body_seconds: float = 30.0
    stop_seconds: float = 1.0


class _Refused(Exception):
    """A request that is not served; nothing of it was taken, unless `error` says so."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] = _NONE) -> None:
        super().__init__(error)
        self.reply = _reply(status, {"error": error}, headers)


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
            if len(self._listed) < MOST_LISTED:
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
        self, intake: Intake, address: str, port: int, token: str = "", limits: Limits | None = None
    ) -> None:
        """Prepare to listen; port 0 is a free one, without a token everybody may post."""
        self._intake = intake
        self._place = (address, port)
        self._token = token.encode()
        self._limits = limits or Limits()
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
        except _Refused as refused:
            reply = refused.reply
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
            raise _Refused(503, "stopping", _RETRY)
        if request.path not in _ALLOWED:
            raise _Refused(404, "no such path; post events to /events")
        allowed = _ALLOWED[request.path]
        if request.method not in allowed:
            raise _Refused(405, "method not allowed", {"Allow": ", ".join(allowed)})
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
            raise _Refused(503, taken if tally.received else "stopping", _RETRY) from None
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
            await self._take_all(await self._unpacked(request, bytes(body)), tally)
        finally:
            self._held -= len(body)

    def _admit(self, request: web.BaseRequest) -> None:
        """Refuse what can be refused before the body has been read."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if self._token and not (same and scheme.lower() == "bearer"):
            raise _Refused(401, "wrong or missing token", {"WWW-Authenticate": "Bearer"})
        if _encoding(request) not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise _Refused(
                415, "a body may be gzip or deflate", {"Accept-Encoding": "gzip, deflate"}
            )
        self._check_length(request.content_length or 0)

    def _check_length(self, length: int) -> None:
        if length > self._limits.body_bytes:
            raise _Refused(413, f"a body may have {self._limits.body_bytes} bytes")

    async def _read(self, request: web.BaseRequest, body: bytearray) -> None:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while chunk := await request.content.readany():
                    body += chunk
                    self._held += len(chunk)
                    self._check_length(len(body))
                    if self._held > self._limits.all_bytes:
                        raise _Refused(503, "too many bodies at one time", _RETRY)
        except TimeoutError:
            raise _Refused(408, "the body took too long") from None

    async def _unpacked(self, request: web.BaseRequest, body: bytes) -> bytes:
        if _encoding(request) in ("", "identity"):
            return body
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, as it begins
        unpacked = bytearray()
        for start in range(0, len(body), _UNPACK_BYTES):
            room = self._limits.body_bytes + 1 - len(unpacked)
            unpacked += _unpack(unpacker, body[start : start + _UNPACK_BYTES], room)
            self._check_length(len(unpacked))
            await asyncio.sleep(0)
        if not unpacker.eof or unpacker.unused_data:
            raise _Refused(400, "the body is not one whole gzip or zlib stream")
        return bytes(unpacked)

    async def _take_all(self, body: bytes, tally: _Tally) -> None:
        try:
            cost = _SLICE_COST  # to tell the events apart has cost one already
            for raw in _events(body):
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


def _events(body: bytes) -> Iterator[bytes]:
    """Tell the events of a body apart: one value, the elements of an array, or lines."""
    start = _after_blanks(body, 0)
    if start == len(body):
        raise _Refused(400, "the body is empty")
    if body.startswith(b"[", start):
        return map(bytes, _elements(body))
    try:
        return iter((bytes(_value.decode(body)),))
    except Exception:  # RecursionError is no MsgspecError
        return _lines(body, start)


def _elements(body: bytes) -> list[Raw]:
    if body.count(b",") > _MOST_COMMAS:
        raise _Refused(413, f"an array may have {_MOST_COMMAS} commas; lines have no such limit")
    try:
        return _array.decode(body)
    except RecursionError:
        raise _Refused(400, "the array is nested too deep") from None
    except Exception as error:
        where = "" if "(byte" in str(error) else f" (byte {len(body)})"
        raise _Refused(400, f"the array is no JSON: {error}{where}") from None


def _lines(body: bytes, start: int) -> Iterator[bytes]:
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        yield body[start:end].rstrip(b" \t\r")
        start = _after_blanks(body, end)


def _after_blanks(body: bytes, start: int) -> int:
    blanks = _BLANKS.match(body, start)
    return blanks.end() if blanks else start


def _encoding(request: web.BaseRequest) -> str:
    return request.headers.get("Content-Encoding", "").strip().lower()


def _unpack(unpacker: "zlib._Decompress", packed: bytes, most: int) -> bytes:
    try:
        return unpacker.decompress(packed, most)
    except zlib.error:
        raise _Refused(400, "the body is neither gzip nor zlib") from None


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
