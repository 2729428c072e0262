"""The top command with a running service: once, as JSON, and live in a terminal."""

import itertools
import json
import os
import pty
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

import cli
from shards.commands.top import fetch
from shards.exit_codes import INTERRUPTED
from shards.ops.status_document import status_document
from tests.support.nats_server import free_port
from tests.support.overviews import overview
from tests.support.serving import (
    COMMAND,
    NEVER_EXPIRE,
    NumberedEvents,
    Service,
    counting_directive,
    own_environment,
    wait_until,
    write_config,
)

pytestmark = pytest.mark.usefixtures("clean_process")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A service that has written an alarm and has an open backlog."""
    write_config(tmp_path, [counting_directive(1), counting_directive(2)])
    port = free_port()
    service = Service(tmp_path, *NEVER_EXPIRE, f"--ops-port={port}")
    service.post(NumberedEvents(1).take(12))
    service.wait_for_lines(12)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: fetch(url)["ledger"]["events"]["received"] == 12, "all events")
    yield url
    service.stop()


def test_the_view_shows_the_state_of_the_service(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["top", "--once", "--url", url]) == 0
    text = capsys.readouterr().out
    for expected in ("ready", "12 routed", "10 High", "2/2", "directive 1"):
        assert expected in text


def test_json_output_is_the_status_document(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top", "--format", "json", "--url", f"{url}/"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["ready"] is True
    assert status["ledger"]["events"]["received"] == 12
    assert [shard["worker"] for shard in status["shards"]] == [0, 1]


class ScriptedServer:
    """Answers each connection with the next of some bytes, the last one again and again."""

    def __init__(self, *replies: bytes) -> None:
        self._replies = replies
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        for reply in itertools.chain(self._replies, itertools.repeat(self._replies[-1])):
            try:
                client, _ = self._socket.accept()
            except OSError:  # closed
                return
            with client, suppress(OSError):
                client.recv(1 << 16)
                client.sendall(reply)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


OK = b"HTTP/1.1 200 OK\r\n"
DEATHS = {
    "before the head": b"",
    "in the head": OK + b"Content-Le",
    "in the status line": b"HTTP/1.",
    "in the body": OK + b'Content-Length: 1000\r\n\r\n{"version":',
    "in a chunk": OK + b'Transfer-Encoding: chunked\r\n\r\nff\r\n{"version":',
    "between chunks": OK + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n',
    "no length": OK + b'\r\n{"version":',
    "no HTTP": b"\x16\x03\x01\x02\x00 \xff\r\n\r\n",
    "no chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "too many headers": OK + b"a: b\r\n" * 500 + b"\r\n{}",
    "too much": OK + b"\r\n" + bytes((1 << 26) + 1),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_reply_that_breaks_off_is_an_error_of_one_line(
    death: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ScriptedServer(DEATHS[death])
    try:
        assert cli.main(["top", "--once", "--url", server.url]) == 1
    finally:
        server.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith((server.url, "the response is no status"))
    assert "invalid literal" not in err


def test_the_live_view_goes_on_when_replies_break_off() -> None:
    status = msgspec.json.encode(status_document(overview()))
    whole = OK + b"Content-Length: %d\r\n\r\n" % len(status) + status
    other = OK + b'Content-Length: 12\r\n\r\n{"shards":1}'
    server = ScriptedServer(whole, DEATHS["in the body"], other, whole, DEATHS["no HTTP"])
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "top", "--url", server.url],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**own_environment(), "TERM": "xterm", "COLUMNS": "160", "LINES": "30"},
    )
    os.close(slave)
    seen = b""
    try:
        for part in (b"Shards", b"has ended before", b"is no status", b"Ctrl-C", b"no valid HTTP"):
            while part not in seen:
                seen += os.read(master, 65536)  # OSError if it has ended
            seen = seen[seen.index(part) + len(part) :]
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        os.close(master)
        server.close()


def test_the_live_view_is_refreshed_until_an_interrupt(url: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "top", "--url", url],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**own_environment(), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(slave)
    seen = b""
    while seen.count(b"Shards") < 2:  # until it is drawn a second time
        seen += os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            seen += os.read(master, 65536)
        except OSError:  # the process has closed the other end
            break
    os.close(master)
    assert process.wait(10) == INTERRUPTED
    assert b"Traceback" not in seen
    assert b"Ctrl-C ends it" in seen
