"""The demo: a service with two workers gets the events of the example, and its alarms are shown.

An hour of events takes a second. The demo uses only public interfaces: the command, POST /events,
the alarm file and the log. It starts a server for lookups. The exit code is 0 when every directive
has an alarm with all stages finished, lookups have found something, and the ledger adds up. With
--keep it then goes on, with new events and the console, until Ctrl-C. Needs the packages of
dsiem-shards.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from itertools import count, groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import lookup_server
from alarm_screen import Alarm, AlarmScreen, alarm_line, ledger_table, lookup_hits, rule_names
from make_events import DURATION, all_events, as_lines
from rich.console import Console
from rich.live import Live
from rich.text import Text

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "configs"
COMMAND = (sys.executable, str(HERE.parent.parent / "cli.py"))
SEED, EVENTS = 1, 5000
BATCHES = 48
POSTING_SECONDS = 6.0
"""Seconds to post all events: less than the 10 s that every stage has, so that none times out."""
CONSOLE = "health, metrics and status"
"""The log line with the address of the console."""
DEADLINE = 10.0
"""Seconds for the service to start, to write the last alarms, and to stop."""
POLL_SECONDS = 0.02


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
    """A running dsiem-backend serve, and its log."""

    def __init__(self, configs: Path, folder: Path) -> None:
        self.log = JsonLinesFile(folder / "serve.log")
        options = (f"--config-dir={configs}", f"--log-dir={folder}", "--workers=2", "--port=0")
        with self.log.path.open("wb") as log:
            command = (*COMMAND, "--json", "serve", *options)
            # In a session of its own: Ctrl-C is for this program, which stops the service.
            self._process = subprocess.Popen(command, stderr=log, start_new_session=True)
        self._logged: list[dict[str, Any]] = []

    def wait_for_log(self, message: str) -> dict[str, Any]:
        """Wait for a log line with this message; DemoError if it does not come."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            self._logged += self.log.new()
            for line in self._logged:
                if line["message"] == message:
                    return line
            if ended:
                break
            time.sleep(POLL_SECONDS)
        raise DemoError(f"no log line {message!r} from the service, see {self.log.path}")

    def connect(self) -> HTTPConnection:
        """A connection for events, once the service takes them."""
        url = urlsplit(self.wait_for_log("serving")["events"])
        return HTTPConnection(url.hostname or "", url.port, timeout=DEADLINE)

    def stop(self) -> dict[str, Any]:
        """Stop the service with SIGTERM, and return its ledger; DemoError if it fails."""
        self._process.send_signal(signal.SIGTERM)
        ledger = self.wait_for_log("ledger")
        if code := self._process.wait(DEADLINE):
            raise DemoError(f"the service ended with {code}, see {self.log.path}")
        return ledger

    def kill(self) -> None:
        """Kill the service if it still runs; its workers end by themselves."""
        self._process.kill()
        self._process.wait()


def _batches(seed: int = SEED) -> Iterator[tuple[str, list[bytes]]]:
    """The events in parts of equal time, each with its time of day; the last part ends now."""
    events = all_events(seed, EVENTS)
    start = datetime.now(UTC) - timedelta(seconds=events[-1].at)
    lines = list(as_lines(events, seed, start))
    pairs = zip(events, lines, strict=True)
    for part, group in groupby(pairs, lambda pair: int(pair[0].at * BATCHES / DURATION)):
        end = start + timedelta(seconds=(part + 1) * DURATION / BATCHES)
        yield f"{end:%H:%M}", [line for _, line in group]


def _post(connection: HTTPConnection, events: Sequence[bytes]) -> None:
    connection.request("POST", "/events", b"".join(events))
    response = connection.getresponse()
    reply = json.loads(response.read())
    if response.status != 200 or reply["accepted"] != len(events):
        raise DemoError(f"events were not accepted, status {response.status}: {reply}")


def _show(live: Live, screen: AlarmScreen, changed: Sequence[Alarm]) -> None:
    """Redraw the screen on a terminal, or else print a line for each changed alarm."""
    if live.console.is_terminal and not live.console.is_dumb_terminal:
        live.update(screen.live(live.console.height), refresh=True)
        return
    for alarm in changed:
        print(alarm_line(alarm), flush=True)


def _watch(alarms: JsonLinesFile, screen: AlarmScreen, live: Live, until: float) -> None:
    """Show new alarms until this time of the monotonic clock, at least once."""
    while True:
        _show(live, screen, [alarm for alarm in alarms.new() if screen.update(alarm)])
        if (left := until - time.monotonic()) <= 0:
            return
        time.sleep(min(POLL_SECONDS, left))


def _run(
    service: Service, alarms: JsonLinesFile, screen: AlarmScreen, console: Console
) -> dict[str, Any]:
    """Post all events and show the alarms; returns the ledger."""
    connection = service.connect()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        started = time.monotonic()
        for number, (screen.hour, events) in enumerate(_batches(), 1):
            _post(connection, events)
            screen.posted += len(events)
            _watch(alarms, screen, live, started + number * POSTING_SECONDS / BATCHES)
        ledger = service.stop()
        _watch(alarms, screen, live, 0)
    return ledger


def _fault(screen: AlarmScreen, ledger: dict[str, Any]) -> str:
    """The first fault of the alarms or the ledger; empty without one."""
    documents = [json.loads(path.read_bytes()) for path in CONFIGS.glob("directives_*.json")]
    directives = [directive for document in documents for directive in document["directives"]]
    completed = screen.completed_directives()
    missing = [str(d["id"]) for d in directives if rule_names(d) not in completed]
    if missing:
        return f"these directives did not see their attack to its end: {', '.join(missing)}"
    if not any(map(lookup_hits, screen.alarms.values())):
        return "lookups have found nothing"
    if not ledger["adds_up"] or ledger.get("events_received") != screen.posted:
        return f"the ledger does not account for the {screen.posted} events posted"
    return ""


def main() -> int:
    """Run the demo; returns 0 if it succeeds, else 1."""
    parser = argparse.ArgumentParser(description="Serve the example live, and show its alarms.")
    parser.add_argument("--log-dir", type=Path, default=Path("build/demo-logs"), help="for files")
    parser.add_argument("--keep", action="store_true", help="go on until Ctrl-C")
    options = parser.parse_args()
    options.log_dir.mkdir(parents=True, exist_ok=True)
    try:
        return _keep(options.log_dir) if options.keep else _demo(options.log_dir)
    except (DemoError, OSError, HTTPException, subprocess.SubprocessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def _serving(folder: Path) -> Iterator[Service]:
    """Run the service and a lookup server, whose port is inserted into the config."""
    configs = folder / "configs"
    configs.mkdir(exist_ok=True)
    with lookup_server.serving() as port:
        for path in CONFIGS.glob("*.json"):
            text = path.read_text("utf-8").replace(f":{lookup_server.PORT}/", f":{port}/")
            (configs / path.name).write_text(text, "utf-8")
        service = Service(configs, folder)
        try:
            yield service
        finally:
            service.kill()


def _keep(folder: Path) -> int:
    """Serve with ever new events, and print where the console is."""
    with _serving(folder) as service:
        url = service.wait_for_log(CONSOLE)["url"]
        connection = service.connect()
        print(f"console: {url}/ (Ctrl-C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            for seed in count(SEED):
                for _, events in _batches(seed):
                    _post(connection, events)
                    time.sleep(POSTING_SECONDS / BATCHES)
        service.stop()
    return 0


def _demo(folder: Path) -> int:
    console, screen, alarms = Console(), AlarmScreen(), JsonLinesFile(folder / "siem_alarms.json")
    alarms.new()  # skip the alarms of earlier runs
    with _serving(folder) as service:
        ledger = _run(service, alarms, screen, console)
    console.print(screen.final(), ledger_table(ledger))
    for path in (alarms.path, folder / "siem_alarm_events.json", service.log.path):
        console.print(Text(str(path)), soft_wrap=True)
    if fault := _fault(screen, ledger):
        raise DemoError(fault)
    print("make demo-console keeps it running, with its console at http://127.0.0.1:9090/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
