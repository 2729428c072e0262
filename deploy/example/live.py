"""The demo: a service of two workers, the example's day posted over HTTP, alarms as they come.

An hour of the day takes a second. Everything goes through what any user has: the command, POST
/events, the alarm file, the log; addresses are looked up at a server that is started here. Exit
code 0 when each directive saw its attack through to the end, lookups have found something, and the
ledger adds up. Needs the packages of dsiem-shards.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import lookup_server
from board import Alarm, Board, hits, ledger_table, one_line, rule_names
from make_events import DURATION, all_events, as_lines
from rich.console import Console
from rich.live import Live
from rich.text import Text

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "configs"
COMMAND = (sys.executable, str(HERE.parent.parent / "cli.py"))
SEED, EVENTS = 1, 5000
BATCHES = 48
SECONDS = 6.0
"""In which the day is posted: sooner than the 10 s that a stage has at least, so none times out."""
DEADLINE = 10.0
"""Seconds that the service may take to start, to write the last alarms, and to stop."""
LOOK = 0.02


class DemoError(Exception):
    """What went wrong, for people."""


class Lines:
    """The JSON lines of a file, as others append them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def new(self) -> list[dict[str, Any]]:
        """The whole lines since the last time; what is no JSON is passed over."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        self._read += len(whole) + bool(whole)
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]


class Service:
    """dsiem-backend serve, in processes of its own, and what it logs."""

    def __init__(self, configs: Path, folder: Path) -> None:
        self.log = Lines(folder / "serve.log")
        options = (f"--config-dir={configs}", f"--log-dir={folder}", "--workers=2", "--port=0")
        with self.log.path.open("wb") as log:
            self._process = subprocess.Popen((*COMMAND, "--json", "serve", *options), stderr=log)

    def expect(self, message: str) -> dict[str, Any]:
        """Wait for this line of the log."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            gone = self._process.poll() is not None
            for line in self.log.new():
                if line["message"] == message:
                    return line
            if gone:
                break
            time.sleep(LOOK)
        raise DemoError(f"the service did not say {message!r}, see {self.log.path}")

    def stop(self) -> dict[str, Any]:
        """Ask it to finish; returns its ledger once it has ended well."""
        self._process.send_signal(signal.SIGTERM)
        ledger = self.expect("ledger")
        if code := self._process.wait(DEADLINE):
            raise DemoError(f"the service ended with {code}, see {self.log.path}")
        return ledger

    def kill(self) -> None:
        """End it if it has not ended: its workers notice by themselves."""
        self._process.kill()
        self._process.wait()


def _batches() -> Iterator[tuple[str, list[bytes]]]:
    """The day in equal parts of time, the last of which ends now: the hour, and its events."""
    events = all_events(SEED, EVENTS)
    start = datetime.now(UTC) - timedelta(seconds=events[-1].at)
    lines = list(as_lines(events, SEED, start))
    pairs = zip(events, lines, strict=True)
    for part, group in groupby(pairs, lambda pair: int(pair[0].at * BATCHES / DURATION)):
        end = start + timedelta(seconds=(part + 1) * DURATION / BATCHES)
        yield f"{end:%H:%M}", [line for _, line in group]


def _post(connection: HTTPConnection, events: Sequence[bytes]) -> None:
    connection.request("POST", "/events", b"".join(events))
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200 or answer["accepted"] != len(events):
        raise DemoError(f"events were not accepted, status {response.status}: {answer}")


def _show(live: Live, board: Board, changed: Sequence[Alarm]) -> None:
    """The board in place on a terminal, else a line for each alarm that has changed."""
    if live.console.is_terminal and not live.console.is_dumb_terminal:
        live.update(board.live(live.console.height), refresh=True)
        return
    for alarm in changed:
        print(one_line(alarm), flush=True)


def _watch(alarms: Lines, board: Board, live: Live, until: float) -> None:
    """Show what comes, until this time of the monotonic clock; look once at least."""
    while True:
        _show(live, board, [alarm for alarm in alarms.new() if board.note(alarm)])
        if (left := until - time.monotonic()) <= 0:
            return
        time.sleep(min(LOOK, left))


def _run(service: Service, alarms: Lines, board: Board, console: Console) -> dict[str, Any]:
    """Post the day and show its alarms; returns the ledger."""
    place = urlsplit(service.expect("serving")["events"])
    connection = HTTPConnection(place.hostname or "", place.port, timeout=DEADLINE)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        started = time.monotonic()
        for number, (board.day, events) in enumerate(_batches(), 1):
            _post(connection, events)
            board.posted += len(events)
            _watch(alarms, board, live, started + number * SECONDS / BATCHES)
        ledger = service.stop()
        _watch(alarms, board, live, 0)
    return ledger


def _verdict(board: Board, ledger: dict[str, Any]) -> str:
    """What is wrong in the end, or nothing."""
    documents = [json.loads(path.read_bytes()) for path in CONFIGS.glob("directives_*.json")]
    directives = [directive for document in documents for directive in document["directives"]]
    seen = board.seen_through()
    unseen = [str(d["id"]) for d in directives if rule_names(d) not in seen]
    if unseen:
        return f"these directives did not see their attack to its end: {', '.join(unseen)}"
    if not any(map(hits, board.alarms.values())):
        return "lookups have found nothing"
    if not ledger["adds_up"] or ledger.get("events_received") != board.posted:
        return f"the ledger does not account for the {board.posted} events posted"
    return ""


def main() -> int:
    """Run the demo; 0 when all went well."""
    parser = argparse.ArgumentParser(description="Serve the example live, and show its alarms.")
    parser.add_argument("--log-dir", type=Path, default=Path("build/demo-logs"), help="for files")
    try:
        return _demo(parser.parse_args().log_dir)
    except (DemoError, OSError, HTTPException, subprocess.SubprocessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def _serving(folder: Path) -> Iterator[Service]:
    """The service, and a server for its lookups, to whose port its config is made to fit."""
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


def _demo(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    console, board, alarms = Console(), Board(), Lines(folder / "siem_alarms.json")
    alarms.new()  # those of earlier times
    with _serving(folder) as service:
        ledger = _run(service, alarms, board, console)
    console.print(board.final(), ledger_table(ledger))
    for path in (alarms.path, folder / "siem_alarm_events.json", service.log.path):
        console.print(Text(str(path)), soft_wrap=True)
    if wrong := _verdict(board, ledger):
        raise DemoError(wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main())
