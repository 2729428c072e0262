"""The top verb: a live view of a service's status in a terminal, or one look at it.

May live here: asking for the status, and how it looks. May not: what the status is (status.py).
The service may be another version, and what it says is shown with control characters as escapes.
"""

import sys
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import requests
from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shards.commands.terminal import print_error, print_line
from shards.safe_text import escape_control
from shards.settings.settings import Settings

UNREACHABLE = 1
_SECONDS = 1.0
_TIMEOUT = 5.0
_MOST_BYTES = 1 << 26
_WIDE = 120
_SOME = 10
"""Alarms that are shown when there is no end of a screen to mind."""
_STYLES = {"High": "bold red", "Medium": "yellow", "Low": "green"}
Status = dict[str, Any]


class _NoStatusError(Exception):
    """There is none to be had; the text is for the user."""


def run(settings: Settings) -> int:
    """Show the status once or until interrupted; returns the exit code, 1 when there is none."""
    try:
        if settings.once or settings.format == "json" or not sys.stdout.isatty():
            return _once(settings)
        return _live(settings)
    except _NoStatusError as error:
        print_error(str(error))
        return UNREACHABLE


def _once(settings: Settings) -> int:
    status = fetch(settings.url)
    if settings.format == "json":
        print_line(msgspec.json.format(msgspec.json.encode(status)).decode())
    else:
        console = Console()
        console.print(_viewed(status, console.width, _SOME))
    return 0


def _live(settings: Settings) -> int:
    status = fetch(settings.url)
    with Live(screen=True, auto_refresh=False) as live:
        trouble = ""
        while True:
            shown = _viewed(status, live.console.width, _room(status, live.console))
            note = Text(f" {trouble}", "bold red") if trouble else Text(" Ctrl-C ends it", "dim")
            live.update(Group(shown, note), refresh=True)
            time.sleep(_SECONDS)
            try:
                status, trouble = fetch(settings.url), ""
            except _NoStatusError as error:
                trouble = str(error)


def _room(status: Status, console: Console) -> int:
    """How many alarms fit below the rest, with a line for the note."""
    rest = console.render_lines(_viewed(status, console.width, 0))
    return max(1, console.height - len(rest) - 1)


def fetch(url: str) -> Status:
    """The status of the service at this URL; _NoStatusError when it cannot be had."""
    place = f"{url.rstrip('/')}/status"
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(place, timeout=_TIMEOUT, allow_redirects=False, stream=True)
            body = answer.raw.read(_MOST_BYTES, decode_content=True)
    except (requests.RequestException, OSError, ValueError) as error:
        reason = escape_control(str(error.__cause__ or error.__context__ or error))
        raise _NoStatusError(f"no status from {place}: {reason}; is --ops-port on?") from error
    if answer.status_code != requests.codes.ok:
        raise _NoStatusError(f"no status from {place}: it answers with {answer.status_code}")
    try:
        status: Status = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _NoStatusError(f"{place} is not the status of a dsiem-backend") from error
    return status


def _viewed(status: Status, width: int, alarms: int) -> RenderableType:
    """The picture; _NoStatusError when this is the status of something else."""
    try:
        return view(status, width, alarms)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise _NoStatusError("what answers there is no dsiem-backend") from error


def view(status: Status, width: int, alarms: int) -> RenderableType:
    """The whole picture for a terminal so wide, with so many alarms."""
    tables = (_shards(status), _ledger(status))
    middle: RenderableType = Columns(tables, padding=(0, 3)) if width >= _WIDE else Group(*tables)
    return Group(_head(status), middle, _alarms(status, alarms))


def _head(status: Status) -> Text:
    state = ("ready", "bold green") if status["ready"] else ("NOT READY", "bold red")
    config = status["config"]
    text = Text.assemble(
        (f" dsiem-backend {escape_control(status['version'])}  ", "bold"),
        state,
        f"  up {_duration(status['uptime_seconds'])}",
        f"  {status['events_per_second']:,.0f} events/s",
        f"\n {config['directives']:,} directives, config {escape_control(config['hash'][:12])}",
    )
    for wrong in (*status["missing"], *status["stuck"]):
        text.append(f"\n   {escape_control(wrong)}", "red")
    return text


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _shards(status: Status) -> Table:
    table = _table("Shards", "worker", "events/s", "queue", "full", "backlogs", "directives", "")
    for shard in status["shards"]:
        capacity = shard["queue_capacity"]
        state = "" if shard["ready"] else ("starting" if shard["up"] else "DOWN")
        if shard["restarts"]:
            state = f"{state} restarted {shard['restarts']} ×".strip()
        table.add_row(
            f"{shard['worker']}",
            f"{shard['events_per_second']:,.0f}",
            f"{shard['queue']:,}",
            f"{shard['queue'] / capacity:.0%}" if capacity else "–",
            f"{shard['backlogs']:,}",
            f"{shard['active_directives']:,} of {shard['directives']:,}",
            Text(state, "bold red" if state else ""),
        )
    return table


def _ledger(status: Status) -> Table:
    ledger = status["ledger"]
    events, deliveries = ledger["events"], ledger["deliveries"]
    table = Table(title="Ledger", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.show_header = False
    table.add_row("events", f"{events['received']:,}", _parts(events, "received"))
    table.add_row("delivered", f"{deliveries['sent']:,}", _parts(deliveries, "sent"))
    backlogs = {name: n for name, n in ledger["backlogs"].items() if n and name != "opened"}
    table.add_row("backlogs", f"{ledger['backlogs']['opened']:,}", _listed(backlogs))
    for source, counts in ledger["lookups"].items():
        shown = {k: v for k, v in counts.items() if k not in ("asked", "breakers", "opened")}
        table.add_row(escape_control(source), f"{counts['asked']:,}", _parts(shown, ""))
    if not ledger["adds_up"]:
        table.add_row(Text("DOES NOT ADD UP", "bold red"), "", "")
    return table


def _parts(counts: dict[str, Any], total: str) -> str:
    parts: dict[str, int] = {}
    for name, value in counts.items():
        if isinstance(value, dict):
            parts |= {f"{name} {reason}": number for reason, number in value.items()}
        elif name != total:
            parts[name] = value
    return _listed({name: number for name, number in parts.items() if number})


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{n:,} {escape_control(name.replace('_', ' '))}" for name, n in counts.items()
    )


def _alarms(status: Status, most: int) -> Table:
    table = Table(title="Latest alarms", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column, width in (("UTC", 8), ("risk", 9), ("stages", 6)):
        table.add_column(column, no_wrap=True, min_width=width)
    table.add_column("alarm", no_wrap=True, overflow="ellipsis", ratio=1)
    for alarm in status["alarms"][:most]:
        rules = alarm["rules"]
        finished = sum(rule.get("status") == "finished" for rule in rules)
        table.add_row(
            f"{datetime.fromtimestamp(alarm['update_time'], UTC):%H:%M:%S}",
            Text(f"{alarm['risk']} {alarm['risk_class']}", _STYLES.get(alarm["risk_class"], "")),
            f"{finished}/{len(rules)}",
            Text(escape_control(alarm["title"])),
        )
    return table


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02}:{seconds:02}"
    return f"{days} d {clock}" if days else clock
