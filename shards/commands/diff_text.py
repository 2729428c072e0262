"""The differences of two configs as tables on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shards.commands.diff_result import (
    MAX_TITLE,
    DiffResult,
    DirectiveRow,
    describe_change,
    describe_event,
    describe_stages,
)
from shards.commands.tables import RISK_STYLES, make_table
from shards.commands.terminal import OutputConsole
from shards.replay.comparison import KINDS, AlarmPair
from shards.replay.tracked_replay import AlarmState
from shards.safe_text import shorten

MAX_ROWS = 100
"""Rows of each table without --all."""


def print_text(result: DiffResult, show_all: bool) -> None:
    """Print the differences as tables, and the totals as the last line."""
    console = OutputConsole()
    most = None if show_all else MAX_ROWS
    found, totals = result.differences, result.totals
    if rows := result.rows:
        console.print(_directive_table(rows[:most]))
        _print_more(console, len(rows), most)
    for kind, alarms in (("new", found.new), ("gone", found.gone)):
        if alarms:
            console.print(_alarm_table(kind.capitalize(), alarms[:most]))
            _print_more(console, totals[kind], most)
    if found.changed:
        console.print(_change_table(found.changed[:most]))
        _print_more(console, totals["changed"], most)
    console.print(Text(result.summary), soft_wrap=True)


def _print_more(console: Console, count: int, most: int | None) -> None:
    if most is not None and count > most:
        console.print(f"… and {count - most:,} more: --all shows them")


def _directive_table(rows: Sequence[DirectiveRow]) -> Table:
    table = make_table("Directives")
    table.add_column("directive", ratio=1)
    for kind in KINDS:
        table.add_column(kind, justify="right", no_wrap=True)
    for row in rows:
        changes = Text("".join(f"\n{change}" for change in row.changes), "dim")
        name = Text.assemble(f"{row.id} {shorten(row.name, MAX_TITLE)}", changes)
        table.add_row(name, *(f"{row.counts[kind]:,}" for kind in KINDS))
    return table


def _alarm_table(title: str, alarms: Sequence[AlarmState]) -> Table:
    table = make_table(title)
    table.add_column("risk", no_wrap=True)
    table.add_column("alarm, first and last event (UTC)", ratio=1)
    table.add_column("stages", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    for alarm in alarms:
        table.add_row(
            Text(f"{alarm.risk} {alarm.risk_class}", RISK_STYLES.get(alarm.risk_class, "")),
            _name(alarm, _first_and_last(alarm)),
            describe_stages(alarm).replace(" ", "\n"),
            f"{alarm.events:,}",
        )
    return table


def _change_table(pairs: Sequence[AlarmPair]) -> Table:
    table = make_table("Changed")
    table.add_column("alarm", ratio=2)
    table.add_column("OLD → NEW", ratio=3)
    for pair in pairs:
        opened = describe_event(pair.new.first_event, pair.new.first_time)
        table.add_row(_name(pair.new, opened), Text("\n".join(describe_change(pair))))
    return table


def _name(alarm: AlarmState, events: str) -> Text:
    title = f"{alarm.directive} {shorten(alarm.title, MAX_TITLE)}"
    return Text.assemble(title, (f"\n{alarm.alarm_id}\n{events}", "dim"))


def _first_and_last(alarm: AlarmState) -> str:
    first = describe_event(alarm.first_event, alarm.first_time)
    last = describe_event(alarm.last_event, alarm.last_time)
    return first if first == last else f"{first}\n{last}"
