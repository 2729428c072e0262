"""The top command with a running service: once, as JSON, and live in a terminal."""

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
from shards.exit_codes import INTERRUPTED
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
