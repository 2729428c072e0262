"""The deadline of a whole HTTP exchange, over sockets of the test."""

import socket
import threading
from collections.abc import Iterator

import pytest

from shards import http_deadline
from shards.http_deadline import STOPPING, Deadline


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


def test_a_connection_is_shut_down_when_the_deadline_passes(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    with Deadline(0.05, threading.Event()) as deadline:
        http_deadline._register(pair[0])
        assert pair[0].recv(1) == b""
    assert deadline.reason == "did not come whole within 0.05 s"


def test_a_connection_is_shut_down_when_the_stop_event_is_set(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    stop = threading.Event()
    with Deadline(60, stop) as deadline:
        http_deadline._register(pair[0])
        stop.set()
        assert pair[0].recv(1) == b""
    assert deadline.reason == STOPPING


def test_after_the_exchange_the_connection_is_left_open(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    stop = threading.Event()
    with Deadline(60, stop) as deadline:
        http_deadline._register(pair[0])
    stop.set()
    assert deadline not in http_deadline._watcher._watched
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"
    assert deadline.reason == ""


def test_a_connection_without_a_deadline_is_refused(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(LookupError):
        http_deadline._register(pair[0])
