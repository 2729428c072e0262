"""The top command: the status of a service in a terminal, once and live."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli
from shards.commands.top import fetch
from tests.support.frontend import Frontend, Reply
from tests.support.nats_server import free_port
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
    place = f"http://127.0.0.1:{port}"
    wait_until(lambda: fetch(place)["ledger"]["events"]["received"] == 12, "all events")
    yield place
    service.stop()


def shown(
    url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["top", "--once", "--url", url]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 160])
def test_the_picture_fits_the_width_of_the_terminal(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    text = shown(url, capsys, monkeypatch, width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "ready" in text
    for heading in ("Shards", "Ledger", "Latest alarms", "worker", "events/s", "queue"):
        assert heading in text
    assert "12 routed" in text
    assert "10 High" in text
    assert "2/2" in text
    assert "directive 1" in text
    side_by_side = any("Shards" in line and "Ledger" in line for line in text.splitlines())
    assert side_by_side == (width == 160)


def test_json_output_is_the_status_document(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top", "--format", "json", "--url", f"{url}/"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["ready"] is True
    assert status["ledger"]["events"]["received"] == 12
    assert [shard["worker"] for shard in status["shards"]] == [0, 1]


def test_the_live_picture_continues_until_an_interrupt(url: str) -> None:
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
    assert process.wait(10) == cli.INTERRUPTED
    assert b"Traceback" not in seen
    assert b"Ctrl-C ends it" in seen


def test_without_a_service_it_prints_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    place = f"http://127.0.0.1:{free_port()}"
    assert cli.main(["top", "--once", "--url", place]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"no status from {place}/status: ")
    assert "Connection refused" in err


HOSTILE = {
    "not JSON": Reply(body=b"<html>"),
    "something else": Reply(body=b'{"shards": 1}'),
    "a list": Reply(body=b"[]"),
    "not there": Reply(404, b""),
    "a redirect": Reply(302, headers={"Location": "http://169.254.169.254/"}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_answer_that_is_no_status_is_refused(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Frontend() as server:
        server.replies["/status"] = HOSTILE[what]
        assert cli.main(["top", "--once", "--url", server.url]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_control_characters_are_shown_as_escapes(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["top", "--format", "json", "--url", url]) == 0
    status = json.loads(capsys.readouterr().out)
    status["alarms"][0]["title"] = "\x1b[31m[bold]red"
    with Frontend() as server:
        server.replies["/status"] = Reply(body=json.dumps(status).encode())
        text = shown(server.url, capsys, monkeypatch, 160)
    assert "\x1b" not in text
    assert r"\x1b[31m[bold]red" in text
