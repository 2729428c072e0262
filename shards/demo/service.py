"""The service of the demo: `dsiem-backend serve` as a process, its log, and its alarm file.

It is used as anybody could: by the command line, POST /events, the log and the files.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shards.demo import lookup_server

EXAMPLE = Path(__file__).with_name("example")
"""The folder with the configuration and the recorded events of the example."""
CONSOLE = "health, metrics and status"
"""The log line with the address of the console."""
_SERVING, _LEDGER = "serving", "ledger"
_COMMAND = (sys.executable, str(Path(__file__).parent.parent.parent / "cli.py"))
_DEADLINE = 20.0
"""Seconds for the service to start, to answer, and to stop."""
_POLL_SECONDS = 0.02
_LAST_LINES = 5


class DemoError(Exception):
    """The demo failed; the text says why."""


class JsonLinesFile:
    """Reads JSON lines that another process appends to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def new(self) -> list[dict[str, Any]]:
        """The complete lines since the last call; other lines than JSON are skipped."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            complete = file.read().rpartition(b"\n")[0]
        self._read += len(complete) + bool(complete)
        return [json.loads(line) for line in complete.splitlines() if line.startswith(b"{")]


class Service:
    """A running `dsiem-backend serve` with two workers; `log`: the file of its log.

    `ops_port`: the port of the console, 0 for none.
    """

    def __init__(self, folder: Path, ops_port: int) -> None:
        self.log = folder / "serve.log"
        self._lines = JsonLinesFile(self.log)
        self._awaited: dict[str, dict[str, Any]] = {}
        self._error = ""
        options = (f"--config-dir={folder / 'configs'}", f"--log-dir={folder}", "--workers=2")
        # The first day takes 6 s, on a busy machine more: no stage times out meanwhile. Backlogs
        # that another run of the demo has left open would take the events of this one.
        timing = ("--expiry-grace=30", "--no-reload-backlogs")
        more = ("--port=0", f"--ops-port={ops_port}", *timing)
        # Settings of another service that are in the environment are not for this one.
        others = {key: text for key, text in os.environ.items() if not key.startswith("DSIEM_")}
        with self.log.open("wb") as log:
            command = (*_COMMAND, "--json", "serve", *options, *more)
            # In a session of its own: Ctrl-C is for this program, which stops the service.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=log, env=others, start_new_session=True
            )

    def wait_for_log(self, message: str) -> dict[str, Any]:
        """Wait for a log line with this message; DemoError if it does not come."""
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            self._read_log()
            if message in self._awaited:
                return self._awaited[message]
            if ended:
                raise DemoError(self._end())
            time.sleep(_POLL_SECONDS)
        raise DemoError(f"no log line {message!r} from the service: {self._why()}")

    def check(self) -> None:
        """DemoError if the service has ended."""
        if self._process.poll() is not None:
            raise DemoError(self._end())

    def connect(self) -> HTTPConnection:
        """A connection for events, once the service takes them."""
        url = urlsplit(self.wait_for_log(_SERVING)["events"])
        return HTTPConnection(url.hostname or "", url.port, timeout=_DEADLINE)

    def stop(self) -> dict[str, Any]:
        """Stop the service with SIGTERM, and return its ledger; DemoError if it fails."""
        self._process.send_signal(signal.SIGTERM)
        ledger = self.wait_for_log(_LEDGER)
        try:
            code = self._process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            raise DemoError(f"the service does not stop: {self._why()}") from None
        if code:
            raise DemoError(self._end())
        return ledger

    def kill(self) -> None:
        """Kill the service if it still runs; its workers end by themselves."""
        self._process.kill()
        self._process.wait()

    def _read_log(self) -> None:
        for line in self._lines.new():
            if line["message"] in (_SERVING, CONSOLE, _LEDGER):
                self._awaited[line["message"]] = line
            if line["level"] == "ERROR":
                self._error = line["message"]

    def _end(self) -> str:
        return f"the service ended with {self._process.wait()}: {self._why()}"

    def _why(self) -> str:
        """The last error in the log, or else its last lines."""
        self._read_log()
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return self._error or "\n".join(lines[-_LAST_LINES:])


@contextmanager
def serving(folder: Path, ops_port: int) -> Iterator[Service]:
    """Run the service and a lookup server, whose port is inserted into the config.

    `folder`: gets the files of the example, and those of the service.
    """
    configs = folder / "configs"
    configs.mkdir(exist_ok=True)
    events = EXAMPLE / "events.ndjson.gz"
    (folder / events.name).write_bytes(events.read_bytes())
    with lookup_server.serving() as port:
        for path in (EXAMPLE / "configs").iterdir():
            text = path.read_text("utf-8").replace(f":{lookup_server.PORT}/", f":{port}/")
            (configs / path.name).write_text(text, "utf-8")
        service = Service(folder, ops_port)
        try:
            yield service
        finally:
            service.kill()


def post(connection: HTTPConnection, events: Sequence[bytes]) -> None:
    """Post events; DemoError if not all of them are accepted."""
    connection.request("POST", "/events", b"".join(events))
    response = connection.getresponse()
    reply = json.loads(response.read())
    if response.status != 200 or reply["accepted"] != len(events):
        raise DemoError(f"events were not accepted, status {response.status}: {reply}")
