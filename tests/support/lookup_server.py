"""An HTTP server for lookups, which answers correctly or misbehaves in every known way."""

import gzip
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import trustme

from engine.alarm import Hit
from tests.support.frontend import Frontend, Reply

CHUNKED: Mapping[str, str | None] = {"Content-Length": None, "Transfer-Encoding": "chunked"}
METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/"

IP, OTHER_IP = "203.0.113.9", "198.51.100.7"
PATH, OTHER_PATH = f"/ip/{IP}", f"/ip/{OTHER_IP}"
PAIR = ("10.0.0.9", 443)
PAIR_PATH = "/?ip=10.0.0.9&port=443"
WISE_HIT = b'[{field: "ip.asn", len: 9, value: "AS64500"}]'
NESD_HIT = b'[{"cve": "CVE-2014-0160", "risk": "High", "name": "Heartbleed"}]'
WISE_HITS = (Hit("Wise", IP, "ip.asn: AS64500"),)
"""The hits for IP in WISE_HIT."""
NESD_HITS = (Hit("Nesd", "10.0.0.9:443", "High - Heartbleed (CVE-2014-0160)"),)
"""The hits for PAIR in NESD_HIT."""


class LookupServer(Frontend):
    """Answers paths that are not in `replies` with `usual`; uses TLS if it gets an authority."""

    def __init__(self, usual: Reply | None = None, authority: trustme.CA | None = None) -> None:
        super().__init__()
        self.usual = usual or Reply(body=b"[]")
        self._authority = authority

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:") if self._authority else super().url

    def start(self) -> None:
        super().start()
        if self._authority and self._server:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._authority.issue_cert("127.0.0.1").configure_cert(context)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    def reply_to(self, path: str) -> Reply:
        scripted = self.replies.get(path)
        return self.usual if scripted is None or scripted == [] else super().reply_to(path)


def hanging() -> Reply:
    """A reply that stops after the first byte."""
    return Reply(head_drip=60)


def dripping() -> Reply:
    """A reply that arrives too slowly to be complete in time."""
    return Reply(body=b"[" + b" " * 500, drip=0.02)


@contextmanager
def dripping_socket(first: bytes, then: bytes) -> Iterator[str]:
    """A TCP server that sends `first`, then `then` every 20 ms; yields its host:port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_drip, args=(listening, first, then, ended))
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        ended.set()
        thread.join()


def _drip(listening: socket.socket, first: bytes, then: bytes, ended: threading.Event) -> None:
    connected, _ = listening.accept()
    with connected, suppress(OSError):
        connected.sendall(first)
        while not ended.wait(0.02):
            connected.sendall(then)


MISBEHAVIOUR: dict[str, tuple[Reply, str]] = {
    "hanging": (hanging(), "timeout"),
    "dripping": (dripping(), "timeout"),
    "a dripping head": (Reply(body=b"[]", head_drip=0.02), "timeout"),
    "204": (Reply(204), "status_204"),
    "429": (Reply(429, b"slow down"), "status_429"),
    "500": (Reply(500, b"[]"), "status_500"),
    "400 MB": (Reply(body=bytes(400 << 20)), "too_long"),
    "400 MB in one chunk": (
        Reply(body=b"19000000\r\n" + bytes(64 << 20), headers=CHUNKED),
        "too_long",
    ),
    "a gzip bomb": (
        Reply(body=gzip.compress(bytes(1 << 24)), headers={"Content-Encoding": "gzip"}),
        "packed",
    ),
    "a redirect": (Reply(302, headers={"Location": METADATA_SERVICE}), "redirect"),
    "half of it": (Reply(body=b"[]" + b" " * 50, sent=2), "connection"),
    "an empty body": (Reply(), "bad_answer"),
    "a page": (Reply(body=b"<html>[]</html>"), "bad_answer"),
    "not UTF-8": (Reply(body=b'["\xff"]'), "bad_answer"),
    "null": (Reply(body=b"null"), "bad_answer"),
    "null in a list": (Reply(body=b"[null]"), "bad_answer"),
    "an object": (Reply(body=b"{}"), "bad_answer"),
    "texts": (Reply(body=b'["x"]'), "bad_answer"),
    "nested": (Reply(body=b"[" * 450 + b"]" * 450), "bad_answer"),
    "nested without end": (Reply(body=b"[" * 900), "bad_answer"),
    "nested too deep": (Reply(body=b'[{"x":' * 150 + b"1" + b"}]" * 20), "bad_answer"),
    "a huge list": (Reply(body=b"[" + b",".join([b"0"] * 400) + b"]"), "bad_answer"),
}
"""Replies, and the error code of each with the limits of tests."""
