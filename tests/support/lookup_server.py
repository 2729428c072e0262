"""A server for lookups: real HTTP, which answers well, or misbehaves in every way known.

What may live here: how it answers. What may not: what is expected of whoever asks it.
"""

import gzip
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import trustme

from tests.support.frontend import Frontend, Reply

CHUNKED: Mapping[str, str | None] = {"Content-Length": None, "Transfer-Encoding": "chunked"}
METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/"
SMALL = 1000
"""Bytes that a reply may have in tests."""

WISE_HIT = b'[{field: "ip.asn", len: 9, value: "AS64500"}]'
NESD_HIT = b'[{"cve": "CVE-2014-0160", "risk": "High", "name": "Heartbleed"}]'


class LookupServer(Frontend):
    """Answers every path that `replies` does not name with `usual`; with TLS if told to."""

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
    """The first byte of an answer, and no other."""
    return Reply(head_drip=60)


def dripping() -> Reply:
    """An answer that never comes to its end, though something comes all the time."""
    return Reply(body=b"[" + b" " * 500, drip=0.02)


@contextmanager
def dripping_socket(first: bytes, then: bytes) -> Iterator[str]:
    """A server below HTTP: says something, and then a little now and then; gives its place."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_drip, args=(listening, first, then, over))
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join()


def _drip(listening: socket.socket, first: bytes, then: bytes, over: threading.Event) -> None:
    connected, _ = listening.accept()
    with connected, suppress(OSError):
        connected.sendall(first)
        while not over.wait(0.02):
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
"""What it does, and the word that it is counted by, with small limits."""
