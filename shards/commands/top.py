"""The top command: the status of a service in a terminal, live or once.

The service may be another version, so its status is not trusted: control characters are escaped,
and a document of another form is an error.
"""

import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shards.commands.tables import (
    RISK_STYLES,
    count_stages,
    list_counts,
    make_table,
    nonzero_parts,
    with_spaces,
)
from shards.commands.terminal import OutputConsole, print_error, print_json
from shards.exit_codes import INVALID
from shards.http_client import HttpClient, HttpClientError, parse_server_url
from shards.safe_text import escape_control
from shards.settings.settings import Settings

_REFRESH_SECONDS = 1.0
_TIMEOUT = 5.0
_MAX_BYTES = 1 << 26
_WIDE_COLUMNS = 120
_ALARMS_ONCE = 10
"""Number of alarms when the screen does not limit it."""
_OTHER_DOCUMENT = "the response is no status of a dsiem-backend"
Status = dict[str, Any]


class _NoStatusError(Exception):
    """There is no status; the text is the reason, for the user."""


def run(settings: Settings) -> int:
    """Show the status once or until interrupted; returns the exit code, 1 without a status."""
    try:
        if settings.once or settings.format == "json" or not sys.stdout.isatty():
            return _once(settings)
        return _live(settings)
    except _NoStatusError as error:
        print_error(str(error))
        return INVALID


def _once(settings: Settings) -> int:
    status = fetch(settings.url)
    if settings.format == "json":
        print_json(status)
    else:
        console = OutputConsole()
        console.print(_checked_view(status, console.width, _ALARMS_ONCE))
    return 0


def _live(settings: Settings) -> int:
    """Show the status until an interrupt; a failure is shown below the last status."""
    status = _fetch_viewable(settings.url)
    with Live(screen=True, auto_refresh=False) as live:
        error_text = ""
        while True:
            shown = view(status, live.console.width, _alarms_that_fit(status, live.console))
            footer = Text(" Ctrl-C ends it", "dim")
            if error_text:
                footer = Text(f" {error_text}", "bold red")
            live.update(Group(shown, footer), refresh=True)
            time.sleep(_REFRESH_SECONDS)
            try:
                status, error_text = _fetch_viewable(settings.url), ""
            except _NoStatusError as error:
                error_text = str(error)


def _fetch_viewable(url: str) -> Status:
    """The status of the service at a URL, of a form that can be shown; otherwise _NoStatusError."""
    status = fetch(url)
    _checked_view(status, _WIDE_COLUMNS, sys.maxsize)
    return status


def _alarms_that_fit(status: Status, console: Console) -> int:
    """Number of alarms that fit below the tables, with a line for the footer."""
    rest = console.render_lines(view(status, console.width, 0))
    return max(1, console.height - len(rest) - 1)


def fetch(url: str) -> Status:
    """The status of the service at a URL; _NoStatusError if there is none."""
    try:
        with HttpClient(parse_server_url(url), threading.Event()) as client:
            body = client.get("/status", _MAX_BYTES, _TIMEOUT)
    except HttpClientError as error:
        hint = "; is --ops-port on?" if error.code == "connection" else ""
        raise _NoStatusError(f"{error.reason}{hint}") from error
    try:
        status: Status = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _NoStatusError(_OTHER_DOCUMENT) from error
    return status


def _checked_view(status: Status, width: int, alarms: int) -> RenderableType:
    """The view of a status; _NoStatusError if it is not a status of this program."""
    try:
        return view(status, width, alarms)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise _NoStatusError(_OTHER_DOCUMENT) from error


def view(status: Status, width: int, alarms: int) -> RenderableType:
    """The view for a terminal of `width` columns, with at most `alarms` alarms."""
    tables = (_shard_table(status), _ledger_table(status))
    middle: RenderableType = (
        Columns(tables, padding=(0, 3)) if width >= _WIDE_COLUMNS else Group(*tables)
    )
    return Group(_header(status), middle, _alarm_table(status, alarms))


def _header(status: Status) -> Text:
    state = ("ready", "bold green") if status["ready"] else ("NOT READY", "bold red")
    config = status["config"]
    text = Text.assemble(
        (f" dsiem-backend {escape_control(status['version'])}  ", "bold"),
        state,
        f"  up {_duration(status['uptime_seconds'])}",
        f"  {status['events_per_second']:,.0f} events/s",
        f"\n {config['directives']:,} directives, config {escape_control(config['hash'][:12])}",
        f", generation {generation:,}" if (generation := config.get("generation")) else "",
    )
    for problem in (*status["missing"], *status["stuck"], *status.get("warnings", ())):
        text.append(f"\n   {escape_control(problem)}", "red")
    return text


def _shard_table(status: Status) -> Table:
    table = make_table("Shards")
    for column in ("worker", "events/s", "queue", "full", "backlogs", "directives", ""):
        table.add_column(column, justify="right", no_wrap=True)
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


def _ledger_table(status: Status) -> Table:
    ledger = status["ledger"]
    events, deliveries = ledger["events"], ledger["deliveries"]
    backlogs = {name: n for name, n in ledger["backlogs"].items() if n and name != "opened"}
    table = make_table("Ledger", show_header=False)
    table.add_row(
        "events",
        f"{events['received']:,}",
        list_counts(with_spaces(nonzero_parts(events, "received"))),
    )
    table.add_row(
        "delivered",
        f"{deliveries['sent']:,}",
        list_counts(with_spaces(nonzero_parts(deliveries, "sent"))),
    )
    table.add_row(
        "backlogs", f"{ledger['backlogs']['opened']:,}", list_counts(with_spaces(backlogs))
    )
    for source, counts in ledger["lookups"].items():
        shown = {k: v for k, v in counts.items() if k not in ("breakers", "opened")}
        table.add_row(
            escape_control(source),
            f"{counts['asked']:,}",
            list_counts(with_spaces(nonzero_parts(shown, "asked"))),
        )
    if not ledger["adds_up"]:
        table.add_row(Text("DOES NOT ADD UP", "bold red"), "", "")
    return table


def _alarm_table(status: Status, limit: int) -> Table:
    table = make_table("Latest alarms")
    for column, width in (("UTC", 8), ("risk", 9), ("stages", 6)):
        table.add_column(column, no_wrap=True, min_width=width)
    table.add_column("alarm", no_wrap=True, overflow="ellipsis", ratio=1)
    for alarm in status["alarms"][:limit]:
        table.add_row(
            f"{datetime.fromtimestamp(alarm['update_time'], UTC):%H:%M:%S}",
            Text(
                f"{alarm['risk']} {alarm['risk_class']}", RISK_STYLES.get(alarm["risk_class"], "")
            ),
            count_stages([rule.get("status", "") for rule in alarm["rules"]]),
            Text(escape_control(alarm["title"])),
        )
    return table


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02}:{seconds:02}"
    return f"{days} d {clock}" if days else clock
