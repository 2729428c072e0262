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
from make_events import DURATION, all_events, as_lines
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
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
STYLES = {"High": "bold red", "Medium": "yellow", "Low": "green"}
Alarm = dict[str, Any]
"""A line of siem_alarms.json."""


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


class Board:
    """The alarms so far, each as its last line says, and how far the day has come."""

    def __init__(self) -> None:
        self.alarms: dict[str, Alarm] = {}
        self.day = ""
        self.posted = 0

    def note(self, alarm: Alarm) -> bool:
        """Take a line; whether it shows more than the one before."""
        before = self.alarms.get(alarm["alarm_id"])
        self.alarms[alarm["alarm_id"]] = alarm
        return before is None or _state(before) != _state(alarm)

    def live(self, height: int) -> Group:
        """As many alarms as fit, the newest ones; and a line about the day."""
        fitting = list(self.alarms.values())[-max(1, height - 6) :]
        progress = f" {self.day}  {self.posted:,} events posted, {len(self.alarms)} alarms"
        return Group(_alarm_table(fitting, wrap=False), Text(progress, style="dim"))

    def final(self) -> Table:
        """All alarms, those of the highest risk first."""
        return _alarm_table(sorted(self.alarms.values(), key=lambda a: -a["risk"]), wrap=True)

    def seen_through(self) -> set[tuple[str, ...]]:
        """The directives, by the names of their rules, all of whose stages an alarm finished."""
        finished = [a for a in self.alarms.values() if _finished(a) == len(a["rules"])]
        return {_rule_names(alarm) for alarm in finished}


def _finished(alarm: Alarm) -> int:
    return sum(rule.get("status") == "finished" for rule in alarm["rules"])


def _state(alarm: Alarm) -> tuple[int, int, int]:
    return alarm["risk"], _finished(alarm), len(_hits(alarm))


def _hits(alarm: Alarm) -> list[str]:
    """What lookups have found."""
    found = alarm.get("intel_hits", []) + alarm.get("vulnerabilities", [])
    return [f"{hit['provider']}, {hit['term']}: {hit['result']}" for hit in found]


def _rule_names(directive: dict[str, Any]) -> tuple[str, ...]:
    rules = sorted(directive["rules"], key=lambda rule: rule["stage"])
    return tuple(rule["name"] for rule in rules)


def _stages(alarm: Alarm) -> str:
    return f"{_finished(alarm)}/{len(alarm['rules'])}"


def _risk(alarm: Alarm) -> str:
    return f"{alarm['risk']} {alarm['risk_class']}"


def _clock(alarm: Alarm) -> str:
    """When its last event took place, which is not when it came: the end of its last stage."""
    ended = max(rule.get("end_time", 0) for rule in alarm["rules"])
    return f"{datetime.fromtimestamp(ended, UTC):%H:%M:%S}"


def _alarm_table(alarms: Sequence[Alarm], *, wrap: bool) -> Table:
    table = _table("Alarms", show_header=True)
    for heading in ("UTC", "risk", "stages"):
        table.add_column(heading, no_wrap=True)
    table.add_column("alarm", ratio=1)
    for alarm in alarms:
        risk = Text(_risk(alarm), STYLES[alarm["risk_class"]])
        look: dict[str, Any] = {"no_wrap": not wrap, "overflow": "fold" if wrap else "ellipsis"}
        title = Text(alarm["title"], **look)
        hits = _hits(alarm)
        if hits and not wrap:
            title = Text.assemble((f"{len(hits)} found  ", "cyan"), title, **look)
        for hit in hits if wrap else ():
            title.append(f"\n{hit}", "cyan")
        table.add_row(_clock(alarm), risk, _stages(alarm), title)
    return table


def _table(title: str, *, show_header: bool) -> Table:
    look: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "box": SIMPLE_HEAD}
    return Table(title=title, show_header=show_header, **look)


def _ledger_table(ledger: dict[str, Any]) -> Table:
    table = _table("Ledger", show_header=False)
    for label, prefix, total in (
        ("events received", "events_", "received"),
        ("delivered to workers", "deliveries_", "sent"),
        ("consumed by backlogs", "outcomes_", ""),
        ("backlogs opened", "backlogs_", "opened"),
        ("addresses looked up", "lookups_intel_Wise_", "asked"),
        ("ports looked up", "lookups_vuln_Nesd_", "asked"),
    ):
        parts = {k.removeprefix(prefix): n for k, n in ledger.items() if k.startswith(prefix)}
        count = parts.pop(total, None) if total else sum(parts.values())
        listed = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in parts.items())
        table.add_row(label, f"{count or 0:,}", listed)
    table.add_row("adds up", "yes" if ledger["adds_up"] else "NO", "")
    return table


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
        about = f"{_risk(alarm):<8}  {_stages(alarm)}  {alarm['title']}"
        print("; ".join((f"{_clock(alarm)}  {about}", *_hits(alarm)[-1:])), flush=True)


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
    unseen = [str(d["id"]) for d in directives if _rule_names(d) not in seen]
    if unseen:
        return f"these directives did not see their attack to its end: {', '.join(unseen)}"
    if not any(map(_hits, board.alarms.values())):
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
    console.print(board.final(), _ledger_table(ledger))
    for path in (alarms.path, folder / "siem_alarm_events.json", service.log.path):
        console.print(Text(str(path)), soft_wrap=True)
    if wrong := _verdict(board, ledger):
        raise DemoError(wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main())
