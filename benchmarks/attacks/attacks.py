"""Attacks on a running service: each one returns after it is over, not after the recovery."""

import os
import signal
import socket
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

from tests.support.serving import Service, few_descriptors, wait_until

_HALF_HEAD = b"POST /events HTTP/1.1\r\nHost: x\r\nX-Long: "
_HALF_BODY = b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n["
_GARBAGE = b"\x16\x03\x01 this is no HTTP\r\n\r\n"
_HOLD_SECONDS = 5.0
"""Time for which connections and limits are held."""


class Target:
    """A service with its ports and its processes."""

    def __init__(self, service: Service, ops_port: int, random: Random) -> None:
        self.service = service
        self.ports = (service.port, ops_port)
        self.random = random

    @property
    def router(self) -> int:
        """The pid of the router: it listens on the port for events."""
        inodes = _listening_inodes(self.ports[0])
        return next(pid for pid in self.service.children() if inodes & _socket_inodes(pid))

    def worker(self) -> int:
        """The pid of any worker."""
        router = self.router
        return self.random.choice([pid for pid in self.service.children() if pid != router])


def kill_a_worker(target: Target) -> None:
    """SIGKILL to a worker."""
    os.kill(target.worker(), signal.SIGKILL)


def kill_the_router(target: Target) -> None:
    """SIGKILL to the router."""
    os.kill(target.router, signal.SIGKILL)


def stop_a_worker(target: Target) -> None:
    """SIGSTOP to a worker, for ever: it hangs."""
    os.kill(target.worker(), signal.SIGSTOP)


def stop_the_router(target: Target) -> None:
    """SIGSTOP to the router, for ever."""
    os.kill(target.router, signal.SIGSTOP)


def stop_a_worker_that_restarts(target: Target) -> None:
    """SIGKILL to a worker, and SIGSTOP to the one that replaces it."""
    before = target.service.children()
    worker = target.worker()
    os.kill(worker, signal.SIGKILL)
    (restarted,) = wait_until(
        lambda: [pid for pid in target.service.children() if pid not in before], "a restart"
    )
    os.kill(restarted, signal.SIGSTOP)


def take_the_descriptors_of_the_router(target: Target) -> None:
    """No free descriptor in the router, and a worker dies."""
    with few_descriptors(target.router):
        kill_a_worker(target)
        time.sleep(_HOLD_SECONDS)


def take_the_descriptors_of_the_supervisor(target: Target) -> None:
    """No free descriptor in the supervisor, and a worker dies."""
    with few_descriptors(target.service.process.pid):
        kill_a_worker(target)
        time.sleep(_HOLD_SECONDS)


def open_idle_connections(target: Target) -> None:
    """A thousand connections to each port that never send anything, and a worker dies."""
    _hold_connections(target, b"", 1000)


def send_half_heads(target: Target) -> None:
    """Five hundred requests to each port whose head never ends, and a worker dies."""
    _hold_connections(target, _HALF_HEAD, 500)


def send_half_bodies(target: Target) -> None:
    """Five hundred requests to each port whose body never ends, and a worker dies."""
    _hold_connections(target, _HALF_BODY, 500)


def send_garbage(target: Target) -> None:
    """A thousand requests to each port that are no HTTP."""
    for port in target.ports * 1000:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(_GARBAGE)


def post_a_million_invalid_events(target: Target) -> None:
    """One small gzip body of five million invalid events."""
    packed = zlib.compressobj(wbits=31)
    body = packed.compress(b"{}\n" * 5_000_000) + packed.flush()
    head = (
        "POST /events HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with suppress(OSError), socket.create_connection(("127.0.0.1", target.ports[0]), 30) as one:
        one.sendall(head.encode() + body)
        while one.recv(1 << 16):
            pass


ATTACKS: Mapping[str, Callable[[Target], None]] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        kill_a_worker,
        kill_the_router,
        stop_a_worker,
        stop_the_router,
        stop_a_worker_that_restarts,
        take_the_descriptors_of_the_router,
        take_the_descriptors_of_the_supervisor,
        open_idle_connections,
        send_half_heads,
        send_half_bodies,
        send_garbage,
        post_a_million_invalid_events,
    )
}
"""All attacks, by name."""


def _hold_connections(target: Target, sent: bytes, number: int) -> None:
    with ExitStack() as stack:
        for port in target.ports * number:
            with suppress(OSError):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                connection.sendall(sent)
        kill_a_worker(target)
        time.sleep(_HOLD_SECONDS)


def _listening_inodes(port: int) -> set[str]:
    """The inodes of the sockets that listen on a port of 127.0.0.1."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    address = f"0100007F:{port:04X}"
    return {row[9] for row in rows if row[1] == address and row[3] == "0A"}


def _socket_inodes(pid: int) -> set[str]:
    """The inodes of the sockets of a process."""
    found = set()
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(str(path.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found
