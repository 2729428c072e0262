"""The NATS client and a server that sends all kinds of frames in pieces, over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import uvloop

from shards.sources.nats_client import EventClient
from shards.sources.nats_parser import EventParser
from tests.shards.sources.test_nats_parser import SUBJECT, message, stream

SECONDS = 20
_INFO = (
    b'INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}\r\n'
)


class Server:
    """Sends each client that has subscribed the pieces of the next connection."""

    def __init__(self, *connections: Sequence[bytes]) -> None:
        self._connections = list(connections)
        self._writers: list[asyncio.StreamWriter] = []
        self.received = b""
        """What clients have sent after the beginning of their subscription."""

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"nats://127.0.0.1:{port}"

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(_INFO)
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await reader.readuntil(b"SUB ")
        for piece in self._connections.pop(0) if self._connections else ():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)  # so that each piece is a read of its own
        while data := await reader.read(1000):
            self.received += data


@asynccontextmanager
async def connected(server: Server, take: Callable[[Sequence[bytes]], None]) -> AsyncIterator[None]:
    """A client of this server, whose events `take` gets."""
    async with server as url, asyncio.timeout(SECONDS):
        client = EventClient()
        client.use_parser(EventParser(client, SUBJECT, take))
        await client.connect(url, reconnect_time_wait=0)
        await client.subscribe(SUBJECT)
        try:
            yield
        finally:
            await client.close()


def take_until(server: Server, done: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Take events from a server until `done` says so of them."""
    events: list[bytes] = []

    async def run() -> None:
        async with connected(server, events.extend):
            while not done(events):
                await asyncio.sleep(0.005)

    uvloop.run(run())
    return events


@pytest.mark.parametrize("size", [7, 100, 1000])
def test_events_and_other_frames_arrive_in_pieces(size: int) -> None:
    """A frame for nats-py may come in the same piece as the first part of an event."""
    whole, expected, _ = stream()
    whole = whole.replace(b"-ERR 'Permissions Violation'\r\n", b"")
    pings = whole.count(b"\r\nPING\r\nHMSG")
    server = Server([whole[at : at + size] for at in range(0, len(whole), size)])
    events = take_until(server, lambda _: server.received.count(b"PONG\r\n") == pings > 1)
    assert events == expected


def test_an_invalid_frame_ends_the_connection_and_the_next_one_begins_anew() -> None:
    first = [message(b"one") + b"MSG dsiem_events 1 500\r\nhalf of", b"x" * 600]
    server = Server(first, [message(b"two") + b"PING\r\n"])
    assert take_until(server, lambda events: events[-1:] == [b"two"]) == [b"one", b"two"]


def test_a_router_that_breaks_ends_its_process() -> None:
    def broken(_: Sequence[bytes]) -> None:
        raise ValueError("bug")

    async def run() -> None:
        async with connected(Server([message(b"a")]), broken):
            await asyncio.Event().wait()

    with pytest.raises(SystemExit):
        uvloop.run(run())
