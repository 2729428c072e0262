"""Server-sent events: what has changed, to every open page.

Nothing waits for a client. Of each kind of event only the newest is kept for it, and the last
incidents: a slow client skips what it has not read in time, and one that does not read at all is
dropped.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

import msgspec
from aiohttp import web

from shards.http_server import RETRY_HEADER, RequestRefusedError
from shards.ops.console.static_files import SECURITY_HEADERS

MAX_STREAMS = 16
"""Open streams: each is a connection, of which the server has 64."""
MAX_INCIDENTS = 50
"""Incidents that wait for a client."""
PING_SECONDS = 15.0
"""Interval of comments, so that a proxy does not close the stream."""
WRITE_SECONDS = 10.0
"""How long a client may read nothing while there is something for it."""
_HEADERS: Mapping[str, str] = {
    **SECURITY_HEADERS,
    "Server": "dsiem-shards",
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class EventStreams:
    """The open streams."""

    def __init__(self) -> None:
        self._clients: set[_Client] = set()
        self.dropped = 0
        """Clients that did not read in time."""
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._clients)

    def publish(self, kind: str, value: object) -> None:
        """Send an event to all clients, in place of an unread one of the same kind."""
        if self._clients:
            data = _event(kind, value)
            for client in self._clients:
                client.put(kind, data)

    def publish_incident(self, value: object) -> None:
        """Send an incident to all clients."""
        if self._clients:
            data = _event("incident", value)
            for client in self._clients:
                client.put_incident(data)

    def close(self) -> None:
        """End all streams; there will be no others."""
        self._is_closed = True
        for client in self._clients:
            client.wake.set()

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/events: send events until the client goes, or until `close`."""
        if len(self._clients) >= MAX_STREAMS or self._is_closed:
            raise RequestRefusedError(503, "too many pages are open", RETRY_HEADER)
        reply = web.StreamResponse(headers=_HEADERS)
        reply.force_close()
        client = _Client()
        self._clients.add(client)
        try:
            await reply.prepare(request)
            await self._send_events(client, reply)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                self.dropped += 1
                request.transport.abort()
        finally:
            self._clients.discard(client)
        return reply

    async def _send_events(self, client: "_Client", reply: web.StreamResponse) -> None:
        """Send what there is for a client, and a comment when there has been nothing for long."""
        await _write(reply, b": the console\n\n")
        while not self._is_closed:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await client.wake.wait()
            except TimeoutError:
                await _write(reply, b":\n\n")
                continue
            client.wake.clear()
            if data := client.take():
                await _write(reply, data)


class _Client:
    """What waits for one client."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._newest: dict[str, bytes] = {}
        self._incidents: deque[bytes] = deque(maxlen=MAX_INCIDENTS)

    def put(self, kind: str, data: bytes) -> None:
        self._newest[kind] = data
        self.wake.set()

    def put_incident(self, data: bytes) -> None:
        self._incidents.append(data)
        self.wake.set()

    def take(self) -> bytes:
        """All that waits."""
        data = b"".join((*self._incidents, *self._newest.values()))
        self._incidents.clear()
        self._newest.clear()
        return data


async def _write(reply: web.StreamResponse, data: bytes) -> None:
    """Send data; TimeoutError if the client does not read, ConnectionError if it is gone."""
    async with asyncio.timeout(WRITE_SECONDS):
        await reply.write(data)


def _event(kind: str, value: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(value))
