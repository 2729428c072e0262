"""The NATS server for tests: start and stop, publishing, access, and the proxy."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.support.nats_server import (
    DEADLINE,
    HOST,
    NOBODY,
    Certificates,
    Credentials,
    Login,
    NatsServer,
    Publisher,
    TcpProxy,
    frame,
    wait_until,
)

SUBJECT = "a.subject"
MANY = [b"%d" % number * 50 for number in range(5000)]


async def unexpected(error: Exception) -> None:
    """Ignore errors of a client: these tests cause them, and nats-py would log them."""


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:
    """A client of nats-py."""
    client = await nats.connect(url, error_cb=unexpected, allow_reconnect=False, **options)
    try:
        yield client
    finally:
        await client.close()


def exchange(server: NatsServer, url: str = "", **options: Any) -> None:
    """Check that a publisher reaches a nats-py client, and that one a listener."""

    async def run() -> None:
        async with connected(url or server.url, **options) as client:
            subscription = await client.subscribe(SUBJECT)
            await client.flush()
            with server.publisher() as publisher, server.listener("back") as listener:
                assert publisher.publish(SUBJECT, MANY) == len(MANY)
                got = [(await subscription.next_msg(DEADLINE)).data for _ in MANY]
                assert got == MANY
                await client.publish("back", b"true")
                await client.flush()
                assert await asyncio.to_thread(listener.wait_for, 1) == [b"true"]

    asyncio.run(run())


def refused(server: NatsServer, login: Login) -> None:
    with pytest.raises((ConnectionError, ssl.SSLError)):
        Publisher(server.port, login)


def test_a_publisher_reaches_a_stock_subscriber_and_a_listener_hears_one(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        exchange(server)


def test_a_server_ends_and_comes_back_on_the_same_port(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        for end in (server.stop, server.kill):
            pid, port = server.pid, server.port
            end()
            assert not Path(f"/proc/{pid}").exists()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((HOST, port), 1.0)
            server.start()
            assert (server.port, server.pid != pid) == (port, True)
            exchange(server)
        pid = server.pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_server_that_cannot_start_gives_a_reason(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="no_such_option"),
        NatsServer(tmp_path, "no_such_option: 1"),
    ):
        pass


def test_users_need_their_password(tmp_path: Path) -> None:
    with NatsServer(tmp_path, users={"soc": 'p"ä$s@/'}) as server:
        exchange(server, user="soc", password='p"ä$s@/')
        refused(server, NOBODY)
        refused(server, Login("soc", "wrong"))


def test_tls_knows_its_clients(tmp_path: Path) -> None:
    certificates = Certificates.made(tmp_path)
    with NatsServer(tmp_path, tls=certificates) as server:
        exchange(server, tls=certificates.context())
        refused(server, Login(tls=ssl.create_default_context(cafile=certificates.ca)))
        refused(server, Login(tls=certificates._replace(ca=certificates.stranger).context()))


def test_credentials_of_a_user(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path)
    with NatsServer(tmp_path, credentials=credentials) as server:
        exchange(server, user_credentials=str(credentials.file))
        (tmp_path / "other").mkdir()
        refused(server, Login(credentials=Credentials(tmp_path / "other")))


def test_monitoring_lists_subscriptions(tmp_path: Path) -> None:
    with NatsServer(tmp_path, 'write_deadline: "2s"', "max_pending: 1mb") as server:
        assert server.monitor("varz")["max_pending"] == 2**20
        assert server.subscribers(SUBJECT) == 0
        with server.listener(SUBJECT):
            server.wait_for_subscribers(SUBJECT)
        server.wait_for_subscribers(SUBJECT, 0)


def test_a_black_hole_keeps_connections_and_gives_back_what_it_swallowed(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path) as server,
        TcpProxy(server.port) as proxy,
        server.listener(SUBJECT) as listener,
        server.publisher(proxy.port) as through,
    ):
        through.publish(SUBJECT, [b"1"])
        listener.wait_for(1)
        proxy.black_hole()
        through.send(frame(SUBJECT, b"2"))
        with socket.create_connection((HOST, proxy.port), 0.2) as late:
            with pytest.raises(TimeoutError):
                late.recv(1)
            assert listener.messages == [b"1"]
            proxy.let_through()
            late.settimeout(DEADLINE)
            assert late.recv(5) == b"INFO "
        assert listener.wait_for(2) == [b"1", b"2"]
        assert through.publish(SUBJECT, [b"3"]) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_a_cut_ends_connections_and_new_ones_are_taken(tmp_path: Path, dark: bool) -> None:
    with NatsServer(tmp_path) as server, TcpProxy(server.port) as proxy:
        with server.publisher(proxy.port) as through:
            if dark:
                proxy.black_hole()
            proxy.cut()
            proxy.let_through()
            with pytest.raises(ConnectionError):
                through.publish(SUBJECT, [b"1"])
        wait_until(lambda: server.monitor("varz")["connections"] == 0, server.log)
        exchange(server, proxy.url)


def test_a_proxy_without_a_server_ends_connections(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    with (
        TcpProxy(server.port) as proxy,
        socket.create_connection((HOST, proxy.port), DEADLINE) as client,
    ):
        assert client.recv(1) == b""
