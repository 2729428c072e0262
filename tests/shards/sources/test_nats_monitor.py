"""The monitoring of the NATS server: replies, and replies that are none."""

import threading
from collections.abc import Iterator

import pytest
from loguru import logger

from shards.sources.nats_monitor import ConnectionEnd, connection_end
from tests.support.frontend import Frontend, Reply

PATH = "/connz?state=closed&cid=7"


@pytest.fixture
def server() -> Iterator[Frontend]:
    with Frontend() as frontend:
        yield frontend


@pytest.fixture
def log() -> Iterator[list[str]]:
    messages: list[str] = []
    handler = logger.add(lambda message: messages.append(message.record["message"]))
    yield messages
    logger.remove(handler)


def end_of(server: Frontend, body: bytes, status: int = 200) -> ConnectionEnd | None:
    server.replies[PATH] = Reply(status, body)
    return connection_end(server.url, 7, threading.Event())


def test_the_reason_and_the_number_of_messages_of_this_connection(
    server: Frontend, log: list[str]
) -> None:
    body = b"""{"connections": [{"cid": 6, "out_msgs": 1},
        {"cid": 7, "out_msgs": 12, "reason": "Slow Consumer (Write Deadline)", "new": []}]}"""
    assert end_of(server, body) == ConnectionEnd("Slow Consumer (Write Deadline)", 12)
    assert log == []


def test_the_time_since_the_end_is_by_the_clock_of_the_server(server: Frontend) -> None:
    body = b"""{"now": "2018-03-23T11:51:47.123456789Z", "connections": [
        {"cid": 7, "out_msgs": 12, "stop": "2018-03-23T11:51:17.123456789Z"}]}"""
    assert end_of(server, body) == ConnectionEnd("", 12, seconds_ago=30.0)
    later = body.replace(b"11:51:17", b"11:52:17")
    assert end_of(server, later) == ConnectionEnd("", 12, seconds_ago=0.0)


def test_an_unknown_connection_is_logged(server: Frontend, log: list[str]) -> None:
    assert end_of(server, b'{"connections": []}') is None
    assert "does not know the previous connection" in log[0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"[1]", 200),
        (b'{"connections": [{"cid": "7", "out_msgs": 1}]}', 200),
        (b'"\xff"', 200),
        (b"{" * 10_000, 200),
        (b"busy", 503),
    ],
)
def test_a_reply_that_is_none_is_logged(
    body: bytes, status: int, server: Frontend, log: list[str]
) -> None:
    assert end_of(server, body, status) is None
    assert log == ["the monitoring of the NATS server does not answer"]


def test_a_server_that_is_gone_is_logged(server: Frontend, log: list[str]) -> None:
    server.stop()
    assert connection_end(server.url, 7, threading.Event()) is None
    assert log == ["the monitoring of the NATS server does not answer"]
