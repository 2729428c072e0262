"""Events over HTTP: POST /events takes an object, an array or lines, and reports the fate of each.

Events of a body are passed on only after all of it has arrived. In one turn of the event loop one
body is worked on, for some 50 ms at most.
"""

import asyncio
import time
from collections.abc import Iterator

from aiohttp import web
from loguru import logger
from msgspec import Struct

from shards.http_request import (
    check_length,
    check_token,
    content_encoding,
    read_body,
    send_continue,
)
from shards.http_server import (
    RETRY_HEADER,
    HttpLimits,
    HttpServer,
    RequestRefusedError,
    json_response,
)
from shards.ledger import Feed
from shards.logs import RateLimit
from shards.sources.event_source import EventSink, EventStore
from shards.sources.idempotency import IdempotencyMemory, check_key, digest_of
from shards.sources.posted_events import PostedEvents
from shards.sources.request_body import (
    BodyMemory,
    MemoryShare,
    decompress,
    split_events,
    splitting_bytes,
)

_ALLOWED_METHODS = {"/": ("GET", "HEAD"), "/events": ("POST",)}
_INDEX_DOCUMENT = {"name": "dsiem-shards", "events": "POST /events"}
_NO_COMPRESSION = ("", "identity")  # content encodings without compression

_SLICE_BYTES = 1 << 20
_EVENT_OVERHEAD_BYTES = 1 << 11
"""In one turn of the event loop: bytes of events, each with this overhead (512 at most)."""
_CLOSE_SECONDS = 0.2  # seconds for a response that nobody reads, at a stop


class RequestLimits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    `body_bytes`: one body, compressed and decompressed; `all_bytes`: all bodies in memory;
    `body_seconds`: reading one body; `stop_seconds`: requests in progress at a stop.
    """

    body_bytes: int = 16 << 20
    all_bytes: int = 128 << 20
    body_seconds: float = 30.0
    stop_seconds: float = 1.0


class HttpSource:
    """An HTTP server that passes the events of each request to a sink, on the running loop."""

    def __init__(
        self,
        sink: EventSink,
        address: str,
        port: int,
        token: str = "",
        limits: RequestLimits | None = None,
        connection_limits: HttpLimits | None = None,
    ) -> None:
        """Port 0 is any free one; without a token everybody may post."""
        self._sink = sink
        self._store: EventStore | None = None
        self._address = (address, port)
        self._token = token.encode()
        self._limits = limits or RequestLimits()
        self._server = HttpServer(self._handle, connection_limits)
        self._memory = BodyMemory(self._limits.all_bytes)
        self._turn = asyncio.Lock()
        """Held while a body is worked on, and until the next turn of the event loop."""
        self._answered = IdempotencyMemory(time.monotonic)
        self._feed = Feed()
        self._log_limit = RateLimit(most=1, seconds=10)
        self._listening = self._stopping = False
        self._active: set[asyncio.Timeout] = set()
        self._no_active = asyncio.Event()
        self._no_active.set()

    def use_store(self, store: EventStore) -> None:
        """Store the events of a body before it is answered; the sink only checks them."""
        self._store = store

    async def start(self) -> tuple[str, int]:
        """Listen; returns address and port. OSError if that fails."""
        place = await self._server.start(*self._address)
        self._listening = True
        return place

    @property
    def feed(self) -> Feed:
        """Bodies whose rest was refused; the senders know about all else that did not arrive."""
        return self._feed

    @property
    def lag(self) -> int:
        """0: what has not been read is not known."""
        return 0

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._listening and not self._stopping

    async def stop(self) -> None:
        """Answer 503 from now on, wait `stop_seconds` for requests in progress, and close."""
        self._stopping = True
        self._server.keep_alive = False
        deadline = asyncio.get_running_loop().time() + self._limits.stop_seconds
        for running in self._active:
            running.reschedule(deadline)
        await self._no_active.wait()
        await self._server.close(_CLOSE_SECONDS)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if self._stopping:
            raise RequestRefusedError(503, "stopping", RETRY_HEADER)
        path = "/" + request.path.strip("/")  # Dsiem takes /events/ too
        if path not in _ALLOWED_METHODS:
            raise RequestRefusedError(404, "no such path; post events to /events")
        allowed = _ALLOWED_METHODS[path]
        if request.method not in allowed:
            raise RequestRefusedError(405, "method not allowed", {"Allow": ", ".join(allowed)})
        if path == "/":
            return json_response(200, _INDEX_DOCUMENT)
        return await self._serve_post(request)

    async def _serve_post(self, request: web.BaseRequest) -> web.Response:
        """Serve a POST; a stop limits its time."""
        results = PostedEvents()
        try:
            async with asyncio.timeout(None) as running:
                self._active.add(running)
                self._no_active.clear()
                return await self._read_and_take(request, results)
        except TimeoutError:
            if results.received:
                return results.response("stopping", 503)
            raise RequestRefusedError(503, "stopping", RETRY_HEADER) from None
        finally:
            self._active.discard(running)
            if not self._active:
                self._no_active.set()

    async def _read_and_take(self, request: web.BaseRequest, results: PostedEvents) -> web.Response:
        if self._store is not None and not self._store.is_ready:
            raise RequestRefusedError(503, "starting", RETRY_HEADER)
        self._check_head(request)
        key = check_key(request.headers.get("Idempotency-Key", ""))
        await send_continue(request)
        with self._memory.share() as memory:
            limits = self._limits
            body = await read_body(request, limits.body_bytes, limits.body_seconds, memory.add)
            if content_encoding(request) not in _NO_COMPRESSION:
                body = await self._decompress(body, memory)
            return await self._take_once(key, body, results, memory)

    def _check_head(self, request: web.BaseRequest) -> None:
        """Check token, encoding and length before the body is read."""
        check_token(request, self._token)
        if content_encoding(request) not in (*_NO_COMPRESSION, "gzip", "x-gzip", "deflate"):
            raise RequestRefusedError(
                415, "a body may be gzip or deflate", {"Accept-Encoding": "gzip, deflate"}
            )
        check_length(request.content_length or 0, self._limits.body_bytes)

    async def _decompress(self, body: bytes, memory: MemoryShare) -> bytes:
        content = bytearray()
        chunks = decompress(body, self._limits.body_bytes)
        more = True
        while more:
            async with self._turn:
                chunk = next(chunks, None)
                await asyncio.sleep(0)
            more = chunk is not None
            memory.add(len(chunk or b""))
            content += chunk or b""
        return bytes(content)

    async def _take_once(
        self, key: str, body: bytes, results: PostedEvents, memory: MemoryShare
    ) -> web.Response:
        """Take the events of a body, unless a request with its Idempotency-Key has."""
        if not key:
            return await self._take_events(body, results, memory)
        if answered := self._answered.begin(key, digest_of(body)):
            return answered
        answer = None
        try:
            answer = await self._take_events(body, results, memory)
        finally:
            # A request of which nothing was taken may be tried again under its key.
            retry = answer is None or (answer.status == 429 and not results.accepted)
            self._answered.end(key, None if retry else answer)
        return answer

    async def _take_events(
        self, body: bytes, results: PostedEvents, memory: MemoryShare
    ) -> web.Response:
        async with self._turn:
            memory.add(splitting_bytes(body))
            events = split_events(body)
            await asyncio.sleep(0)
        more = True
        accepted: list[bytes] = []
        try:
            while more:
                async with self._turn:
                    more = self._take_slice(events, results, accepted)
                    await asyncio.sleep(0)
            await self._store_events(accepted)
        except RequestRefusedError:
            raise
        except Exception as error:
            self._server.log_failure(error)
            return results.response("internal error", 500)
        finally:
            self._sink.flush()
        if results.stopped:
            self._feed.bodies_cut += 1
            if self._log_limit.allow("", time.monotonic()):
                logger.bind(taken=results.received).warning("the rest of a request is refused")
        return results.response(results.stopped)

    async def _store_events(self, events: list[bytes]) -> None:
        """Store the accepted events of a body, if there is a store. RequestRefusedError."""
        if self._store is None:
            return
        try:
            await self._store.store(events)
        except OSError as error:
            why = f"nothing is accepted: {error.strerror or error}"
            raise RequestRefusedError(507, why, RETRY_HEADER) from None

    def _take_slice(
        self, events: Iterator[bytes], results: PostedEvents, accepted: list[bytes]
    ) -> bool:
        """Take events for one turn of the event loop; returns whether there may be more.

        With a store, those that are accepted are added to `accepted`.
        """
        cost = 0
        for raw in events:
            results.stopped = results.limit_reached
            if results.stopped:
                return False
            refusal = self._sink.take(raw)
            results.note(refusal)
            if refusal is None and self._store is not None:
                accepted.append(raw)
            cost += len(raw) + _EVENT_OVERHEAD_BYTES
            if cost >= _SLICE_BYTES:
                return True
        return False
