"""The lookup server of the demo: its replies, and clients that go away."""

import socket
import struct
from urllib.request import urlopen

import pytest

from shards.demo.lookup_server import serving
from shards.demo.scenario import company


def test_it_knows_some_addresses_and_prints_nothing_if_a_client_goes_away(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with serving() as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /wise/10.20.1.1 HTTP/1.0\r\n\r\n")
                reset = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        with urlopen(f"http://127.0.0.1:{port}/wise/{company.SSH_ATTACKER}", timeout=30) as reply:
            assert b"SSH brute force" in reply.read()
    assert capfd.readouterr() == ("", "")
