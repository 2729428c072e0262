"""The HTTP server for health, metrics and status, in the process of the test."""

import asyncio
import json
import socket
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from loguru import logger
from msgspec.structs import replace

from shards.http_server import HttpLimits, HttpServer
from shards.ops import http_server
from shards.ops.http_server import run_ops_server
from shards.ops.overview import Overview
from shards.ops.prometheus_text import CONTENT_TYPE
from tests.support.nats_server import free_port
from tests.support.overviews import overview, process_status

Answer = tuple[int, str, str]
"""Status code, content type and body."""


async def get(port: int, path: str) -> Answer:
    """Ask until the server listens."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    return answer.status, answer.headers["Content-Type"], await answer.text()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.01)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def answers(of: Overview, *paths: str) -> list[Answer]:
    """What the server answers for an overview."""
    found: list[Answer] = []

    async def ask() -> None:
        port = free_port()
        async with run_ops_server("127.0.0.1", port, lambda: of, {}):
            found.extend([await get(port, path) for path in paths])

    run(ask())
    return found


def test_health_is_200_and_ok_without_problems() -> None:
    for code, _, text in answers(overview(), "/livez", "/readyz"):
        assert (code, text) == (200, "ok\n")


def test_health_is_503_with_a_line_for_each_problem() -> None:
    stalled = process_status("worker-0", silent_seconds=70.0)
    livez, readyz = answers(
        overview(workers=[stalled], stopping=True, source_connected=False), "/livez", "/readyz"
    )
    assert (livez[0], livez[2]) == (503, "worker-0 has not reported for 70 s\n")
    assert (readyz[0], readyz[2]) == (
        503,
        "it is stopping\nworker-0 has not reported for 70 s\nit is not listening\n",
    )


def test_what_is_wrong_without_stopping_events_is_named_by_readyz_and_leaves_it_ready() -> None:
    of = overview(checkpoint_troubles={"worker-0": "/logs/c.sqlite: the disk is full"})
    livez, readyz = answers(of, "/livez", "/readyz")
    assert (livez[0], livez[2]) == (200, "ok\n")
    line = "worker-0 writes no crash checkpoint: /logs/c.sqlite: the disk is full\n"
    assert (readyz[0], readyz[2]) == (200, f"ok\n{line}")
    [stopping] = answers(replace(of, stopping=True), "/readyz")
    assert (stopping[0], stopping[2]) == (503, f"it is stopping\n{line}")


def test_metrics_and_status_have_their_content_types() -> None:
    metrics, status = answers(overview(), "/metrics", "/status")
    assert metrics[:2] == (200, CONTENT_TYPE)
    assert "\ndsiem_events_received_total 0.0\n" in metrics[2]
    assert status[:2] == (200, "application/json")
    assert json.loads(status[2])["version"] == "1.2.3"


def test_other_paths_are_not_found() -> None:
    assert [answer[0] for answer in answers(overview(), "/", "/alarms")] == [404, 404]


def test_errors_are_json_without_a_traceback_in_answer_or_log(logged: list[str]) -> None:
    async def ask() -> None:
        port = free_port()
        async with run_ops_server("127.0.0.1", port, overview, {}):
            await get(port, "/livez")
            for garbage in (b"\x16\x03\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n") * 10:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(garbage)
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                assert b" 400 Bad Request" in head
                assert json.loads(body) == {"error": "no valid HTTP request"}
                writer.close()
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://127.0.0.1:{port}/status") as answer,
            ):
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")

    run(ask())
    assert logged == ["health, metrics and status"]


def test_half_sent_heads_do_not_stay_open() -> None:
    async def ask() -> None:
        port = free_port()
        limits = HttpLimits(connections=64, head_seconds=0.2)
        async with run_ops_server("127.0.0.1", port, overview, {}, limits):
            await get(port, "/livez")
            clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
            for _, writer in clients:
                writer.write(b"GET /livez HTTP/1.1\r\nHost:")
            assert [await reader.read() for reader, _ in clients] == [b""] * 40
            for _, writer in clients:
                writer.close()
            assert (await get(port, "/livez"))[0] == 200

    run(ask())


def test_each_request_reads_the_state_anew() -> None:
    async def ask() -> None:
        states = iter([overview(), overview(stopping=True)])
        port = free_port()
        async with run_ops_server("127.0.0.1", port, lambda: next(states), {}):
            assert [(await get(port, "/readyz"))[0] for _ in range(2)] == [200, 503]

    run(ask())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The messages that are logged."""
    messages: list[str] = []
    handler = logger.add(lambda m: messages.append(m.record["message"]), level="INFO")
    yield messages
    logger.remove(handler)


def test_a_port_in_use_is_logged_once_and_opened_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(http_server, "_RETRY_SECONDS", 0.01)
    attempts = 0
    start = HttpServer.start

    async def counted_start(server: HttpServer, address: str, port: int) -> tuple[str, int]:
        nonlocal attempts
        attempts += 1
        return await start(server, address, port)

    monkeypatch.setattr(HttpServer, "start", counted_start)

    async def ask() -> None:
        async with AsyncExitStack() as stack:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
                await stack.enter_async_context(run_ops_server("127.0.0.1", port, overview, {}))
                while attempts < 3:
                    await asyncio.sleep(0.001)
            assert (await get(port, "/livez"))[0] == 200

    run(ask())
    assert len(logged) == 2
    assert logged[0].startswith("--ops-port (DSIEM_OPS_PORT): cannot listen on 127.0.0.1 port")
    assert logged[1] == "health, metrics and status"


def test_a_server_that_waits_for_its_port_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(http_server, "_RETRY_SECONDS", 3600)

    async def end() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            async with run_ops_server("127.0.0.1", taken.getsockname()[1], overview, {}):
                while not logged:
                    await asyncio.sleep(0.001)

    started = time.monotonic()
    run(end())
    assert time.monotonic() - started < 10
