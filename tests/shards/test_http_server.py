"""The HTTP server under both interfaces: its bounds, with real sockets."""

import asyncio
import errno
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from aiohttp import web
from loguru import logger

from shards import listener
from shards.http_server import HttpLimits, HttpServer, json_response, response

pytestmark = pytest.mark.integration  # a real server, and its time limits

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def respond(request: web.BaseRequest) -> web.Response:
    """Answer /long with 16 MiB, /wait never, and anything else at once."""
    if request.path == "/long":
        return response(200, bytes(16 << 20), "text/plain")
    if request.path == "/wait":
        await asyncio.Event().wait()
    if request.path == "/fault":
        raise RuntimeError("a fault")
    return json_response(200, "fine")


@asynccontextmanager
async def serving(limits: HttpLimits) -> AsyncIterator[Callable[[bytes], Awaitable[Client]]]:
    """A server; yields a function that connects and sends."""
    server = HttpServer(respond, limits)
    address, port = await server.start("127.0.0.1", 0)
    clients: list[Client] = []

    async def connect(data: bytes = b"") -> Client:
        client = await asyncio.open_connection(address, port)
        client[1].write(data)
        clients.append(client)
        return client

    try:
        yield connect
    finally:
        await server.close(0.1)
        for _, writer in clients:
            writer.transport.abort()
        await asyncio.sleep(0.01)


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test, 30)

    uvloop.run(bounded())


async def answer(client: Client) -> bytes:
    return (await client[0].readuntil(b"\r\n\r\n")) + await client[0].readline()


async def end(client: Client) -> bytes:
    """What comes until the connection ends."""
    try:
        return await client[0].read()
    except ConnectionError:
        return b""


@pytest.fixture
def logged() -> Iterator[list[str]]:
    messages: list[str] = []
    handler = logger.add(lambda message: messages.append(message.record["message"]))
    yield messages
    logger.remove(handler)


def test_500_half_sent_heads_are_gone_after_the_deadline() -> None:
    async def story() -> None:
        async with serving(HttpLimits(head_seconds=0.5)) as connect:
            clients = [await connect(b"GET / HTTP/1.1\r\nHost:") for _ in range(500)]
            assert {await end(client) for client in clients} == {b""}
            assert b"200 OK" in await answer(await connect(REQUEST))

    run(story())


def test_a_head_that_drips_has_the_same_deadline() -> None:
    async def story() -> None:
        async with serving(HttpLimits(head_seconds=0.3)) as connect:
            reader, writer = await connect(b"GET / HTTP/1.1\r\n")
            drops = 0
            while not reader.at_eof() and drops < 1000:
                writer.write(b"x: y\r\n" if drops % 2 else b"z: y\r\n")
                drops += 1
                try:
                    await asyncio.wait_for(reader.read(1), 0.05)
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            assert drops < 1000

    run(story())


def test_an_idle_connection_is_closed() -> None:
    async def story() -> None:
        async with serving(HttpLimits(idle_seconds=0.2)) as connect:
            client = await connect(REQUEST)
            assert b"200 OK" in await answer(client)
            assert await end(client) == b""

    run(story())


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_a_client_that_does_not_read_is_cut_off(more: bytes) -> None:
    async def story() -> None:
        limits = HttpLimits(connections=1, write_seconds=0.2, idle_seconds=0.2)
        async with serving(limits) as connect:
            _, writer = await connect(b"GET /long HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            assert b"200 OK" in await answer(await connect(REQUEST))

    run(story())


def test_at_the_cap_a_new_client_gets_the_place_of_the_one_that_waits_longest() -> None:
    async def story() -> None:
        async with serving(HttpLimits(connections=5, head_seconds=60)) as connect:
            first = await connect(b"GET / HT")
            others = [await connect(REQUEST) for _ in range(4)]
            assert all([b"200 OK" in await answer(client) for client in others])
            assert b"200 OK" in await answer(await connect(REQUEST))
            assert await end(first) == b""
            others[0][1].write(REQUEST)
            assert b"200 OK" in await answer(others[0])

    run(story())


def test_at_the_cap_requests_in_progress_are_not_cut_off_and_new_clients_wait(
    logged: list[str],
) -> None:
    async def story() -> None:
        async with serving(HttpLimits(connections=3)) as connect:
            busy = [await connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(3)]
            client = await connect(REQUEST)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer(client), 1.5)
            busy[0][1].transport.abort()
            # The handler of a client that is gone ends with the server, its place is free at once.
            client = await connect(REQUEST)
            assert b"200 OK" in await answer(client)

    run(story())
    assert logged.count("all HTTP connections are in use") == 1


def test_the_cap_leaves_descriptors_for_others() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))

    async def story() -> None:
        async with serving(HttpLimits(connections=10_000)) as connect:
            clients = [await connect(b"GET /w") for _ in range(70)]
            closed = asyncio.gather(*(end(client) for client in clients[:20]))
            assert await closed == [b""] * 20
            assert b"200 OK" in await answer(await connect(REQUEST))

    try:
        run(story())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Exhausted:
    """A listening socket of a process that has no descriptor left for five attempts."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.attempts = 0
        self.fileno, self.setblocking = real.fileno, real.setblocking
        self.getsockname, self.close = real.getsockname, real.close

    def accept(self) -> tuple[socket.socket, object]:
        self.attempts += 1
        if self.attempts <= 5:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._real.accept()


def test_without_descriptors_it_neither_spins_nor_floods_the_log(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(listener, "_RETRY_SECONDS", 0.05)
    create, exhausted = socket.create_server, list[Exhausted]()

    def create_exhausted(place: tuple[str, int], **how: Any) -> Exhausted:
        exhausted.append(Exhausted(create(place, **how)))
        return exhausted[0]

    monkeypatch.setattr(socket, "create_server", create_exhausted)

    async def story() -> None:
        async with serving(HttpLimits()) as connect:
            assert b"200 OK" in await answer(await connect(REQUEST))

    run(story())
    assert 6 <= exhausted[0].attempts < 10
    assert logged.count("connections cannot be accepted: Too many open files") == 1


def test_defects_are_logged_five_times_a_minute(logged: list[str]) -> None:
    async def story() -> None:
        async with serving(HttpLimits()) as connect:
            client = await connect(b"GET /fault HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            for _ in range(20):
                assert b"500 Internal" in await answer(client)

    run(story())
    assert logged.count("request failed") == 5
