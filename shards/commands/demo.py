"""The demo command: a service gets the events of an example company, and its alarms are shown.

Six hours of events take six seconds; further days, with other events, take a minute each.
"""

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from errno import EDQUOT, ENOSPC
from http.client import HTTPException
from itertools import groupby
from math import inf
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

from rich.console import Console
from rich.live import Live

from shards.alarm_files import ALARMS
from shards.commands.terminal import OutputConsole, print_error, print_line
from shards.demo.alarm_screen import (
    Alarm,
    AlarmScreen,
    alarm_line,
    ledger_table,
    lookup_hits,
    rule_names,
)
from shards.demo.make_events import DURATION, all_events, as_lines
from shards.demo.service import CONSOLE, EXAMPLE, DemoError, JsonLinesFile, Service, post, serving
from shards.exit_codes import INVALID, NO_PATH
from shards.settings.command_line import PROG
from shards.settings.schema import UsageError
from shards.settings.settings import Settings

_SEED, _EVENTS = 1, 5000
_BATCHES = 48
_FIRST_DAY_SECONDS = 6.0
"""Seconds to post all events: less than each stage has, so that none times out."""
_DAY_SECONDS = 60.0
_MOST_DAYS = 600
"""The number of days after which only the console goes on: they fill 200 MB."""
_POLL_SECONDS = 0.05


def run(settings: Settings, _operands: Sequence[str]) -> int:
    """Run the demo until Ctrl-C, or `once` without a console; returns 0 if it succeeds, else 1.

    With `once` it succeeds if every directive has an alarm with all stages finished, lookups have
    found something, and the ledger adds up.
    """
    port = 0 if settings.once else settings.ops_port
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that the service is ended too
        signal.signal(number, signal.default_int_handler)
    try:
        _check_port(port)
        with _folder(settings.demo_dir) as folder, serving(folder, port) as service:
            if settings.once:
                _run_once(service, folder)
            else:
                _run_until_interrupt(service, folder, port, kept=bool(settings.demo_dir))
    except BrokenPipeError:  # the reader of the output has gone
        raise
    except (DemoError, OSError, HTTPException) as error:
        print_error(f"{PROG} demo: {_text_of(error, settings.demo_dir)}")
        return INVALID
    return 0


def _text_of(error: Exception, demo_dir: str) -> str:
    """What is wrong; a full disk does not say where it is."""
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
        folder = demo_dir or f"{gettempdir()}, or another one by --demo-dir"
        return f"{error.strerror}: it needs some MB in {folder}"
    return str(error)


def _check_port(port: int) -> None:
    """DemoError if the console cannot listen on this port: the service would try again for ever."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise DemoError(
            f"the console cannot listen on port {port} of 127.0.0.1: "
            f"{os.strerror(error.errno or 0)}; choose another one, such as --ops-port 9191"
        ) from error


@contextmanager
def _folder(given: str) -> Iterator[Path]:
    """The given folder, or a temporary one that is removed at the end."""
    try:
        folder = Path(given or mkdtemp(prefix="dsiem-demo-"))
    except OSError as error:
        raise UsageError(f"--demo-dir is needed: {error.strerror}", NO_PATH) from error
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "serve.log").touch()
        except OSError as error:
            raise UsageError(f"--demo-dir {error.filename}: {error.strerror}", NO_PATH) from error
        yield folder
    finally:
        if not given:
            shutil.rmtree(folder, ignore_errors=True)


class _Show:
    """Posts events to a service, and shows its alarms."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.screen = AlarmScreen()
        self._connection = service.connect()
        self._alarms = JsonLinesFile(folder / ALARMS)
        self._alarms.new()  # skip the alarms of earlier runs

    def day(self, live: Live, seed: int, seconds: float) -> None:
        """Post the events of a day in so many seconds, and show the alarms."""
        started = time.monotonic()
        for number, (self.screen.hour, events) in enumerate(_batches(seed), 1):
            self._post(events)
            self.screen.posted += len(events)
            self.watch(live, started + number * seconds / _BATCHES)

    def _post(self, events: Sequence[bytes]) -> None:
        try:
            post(self._connection, events)
        except (OSError, HTTPException) as error:
            self.service.check()  # its end is the reason, and says more
            raise DemoError(f"the service does not take events: {error}") from error

    def watch(self, live: Live, until: float = inf) -> None:
        """Show new alarms until this time of the monotonic clock, at least once."""
        self._update(live, self._new())
        while (left := until - time.monotonic()) > 0:
            self.service.check()
            time.sleep(min(_POLL_SECONDS, left))
            if changed := self._new():
                self._update(live, changed)

    def _new(self) -> list[Alarm]:
        """The alarms that have changed since the last call."""
        return [alarm for alarm in self._alarms.new() if self.screen.update(alarm)]

    def _update(self, live: Live, changed: Sequence[Alarm]) -> None:
        """Redraw the screen on a terminal, or else print a line for each changed alarm."""
        if live.console.is_terminal and not live.console.is_dumb_terminal:
            live.update(self.screen.live(live.console.height), refresh=True)
        elif changed:
            print_line("\n".join(map(alarm_line, changed)))
            sys.stdout.flush()


def _batches(seed: int) -> Iterator[tuple[str, list[bytes]]]:
    """The events in parts of equal time, each with its time of day; the last part ends now."""
    events = all_events(seed, _EVENTS)
    start = datetime.now(UTC) - timedelta(seconds=events[-1].at)
    lines = list(as_lines(events, seed, start))
    pairs = zip(events, lines, strict=True)
    for part, group in groupby(pairs, lambda pair: int(pair[0].at * _BATCHES / DURATION)):
        end = start + timedelta(seconds=(part + 1) * DURATION / _BATCHES)
        yield f"{end:%H:%M}", [line for _, line in group]


def _live(console: Console) -> Live:
    return Live(console=console, auto_refresh=False, transient=True)


def _run_once(service: Service, folder: Path) -> None:
    """Show a day, then all alarms and the ledger; DemoError if something of them is missing."""
    console, show = OutputConsole(), _Show(service, folder)
    with _live(console) as live:
        show.day(live, _SEED, _FIRST_DAY_SECONDS)
        ledger = service.stop()
        show.watch(live, 0)
    console.print(show.screen.final(), ledger_table(ledger))
    if missing := _missing_part(show.screen, ledger):
        raise DemoError(missing)


def _run_until_interrupt(service: Service, folder: Path, port: int, *, kept: bool) -> None:
    """Say where the console is, and show one day after the other; then the ledger."""
    note = "Ctrl-C ends the demo"
    if port:
        url = service.wait_for_log(CONSOLE)["url"]
        print_line(f"console  {url}/  ({note})")
        note = f"console: {url}/   {note}"
    hint = "kept" if kept else "removed at the end, --demo-dir PATH keeps them"
    print_line(f"files    {folder}  ({hint})\n")
    sys.stdout.flush()
    console, show = OutputConsole(), _Show(service, folder)
    show.screen.note = note
    with suppress(KeyboardInterrupt), _live(console) as live:
        show.day(live, _SEED, _FIRST_DAY_SECONDS)
        for day in range(1, _MOST_DAYS):
            show.day(live, _SEED + day, _DAY_SECONDS)
        show.watch(live)
    console.print(ledger_table(service.stop()))


def _missing_part(screen: AlarmScreen, ledger: dict[str, Any]) -> str:
    """What is missing in the alarms or the ledger first; empty if nothing is.

    A stage that waits for an absence ends with the passing of time, which is short here.
    """
    texts = [path.read_bytes() for path in (EXAMPLE / "configs").glob("directives_*.json")]
    directives = [directive for text in texts for directive in json.loads(text)["directives"]]
    completed = screen.completed_directives()
    waiting = [
        str(one["id"])
        for one in directives
        if rule_names(one) not in completed and not any(rule.get("absent") for rule in one["rules"])
    ]
    if waiting:
        return f"these directives did not see their attack to its end: {', '.join(waiting)}"
    if not any(map(lookup_hits, screen.alarms.values())):
        return "lookups have found nothing"
    if not ledger["adds_up"] or ledger.get("events_received") != screen.posted:
        return f"the ledger does not account for the {screen.posted} events posted"
    return ""
