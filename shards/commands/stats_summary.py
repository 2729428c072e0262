"""The counts by directive and by signature, as tables and as JSON."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from rich.table import Table
from rich.text import Text

from engine.options import RISK_CLASSES
from shards.commands.tables import make_table
from shards.commands.terminal import OutputConsole, counted
from shards.replay.directive_stats import DirectiveStats, StatsCollector
from shards.safe_text import shorten
from shards.unmatched_events import Signature

MAX_ROWS = 20
"""Rows of each table without --all."""
MAX_NOISY = 5
"""Directives that the line of the most events, and that of the most alarms, names."""
MAX_NAME = 100


class StatsSummary(Struct, frozen=True):
    """The counts, and `warnings` about what makes them doubtful."""

    counted: StatsCollector
    warnings: list[str]

    @property
    def directives(self) -> list[DirectiveStats]:
        """All directives: the most alarms first, then the most events."""
        return sorted(
            self.counted.directives.values(),
            key=lambda row: (-row.alarms.total(), -row.events, -row.concerned, row.id),
        )

    def as_document(self) -> dict[str, Any]:
        """The counts for programs."""
        rows, unmatched, ledger = self.directives, self.counted.unmatched, self.counted.ledger
        return {
            "events": ledger.events.received,
            "warnings": self.warnings,
            "directives": [_document(row) for row in rows],
            "never_matched": [row.id for row in rows if not row.events],
            "without_alarm": [row.id for row in rows if row.events and not row.alarms],
            "unmatched": {
                "events": ledger.events.unmatched,
                "signatures": [signature.as_document() for signature in unmatched.most_frequent],
                "other_events": unmatched.others,
            },
            "ledger": ledger,
            "adds_up": ledger.adds_up,
        }


def _document(row: DirectiveStats) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "concerned_events": row.concerned,
        "events": row.events,
        "opened": row.opened,
        "furthest_stage": row.furthest_stage,
        "stages": row.stages,
        "alarms": {name: row.alarms[name] for name in RISK_CLASSES},
    }


def print_stats(summary: StatsSummary, *, show_all: bool) -> None:
    """Print a table for each fate of a directive, and one of the events that none is for."""
    printer = _Printer(None if show_all else MAX_ROWS)
    rows = summary.directives
    printer.directives("Directives with alarms", [row for row in rows if row.alarms])
    printer.directives(
        "Matched, but no alarm: the risk was 0 at the end of each stage",
        [row for row in rows if row.events and not row.alarms],
    )
    printer.never_matched([row for row in rows if not row.events])
    unmatched, events = summary.counted.unmatched, summary.counted.ledger.events
    printer.signatures(unmatched.most_frequent, unmatched.others)
    printer.noisiest("most events", rows, {row.id: row.events for row in rows})
    printer.noisiest("most alarms", rows, {row.id: row.alarms.total() for row in rows})
    matched = sum(bool(row.events) for row in rows)
    alarming = sum(bool(row.alarms) for row in rows)
    printer.line(
        f"{counted(len(rows), 'directive')}: {alarming:,} with alarms, "
        f"{matched - alarming:,} matched without an alarm, {len(rows) - matched:,} never matched; "
        f"{counted(events.received, 'event')}, {events.unmatched:,} that no directive is for"
    )


class _Printer:
    """Prints tables of at most `most` rows, and how many rows there are more."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._console = OutputConsole()

    def line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def directives(self, title: str, rows: Sequence[DirectiveStats]) -> None:
        table = make_table(title)
        table.add_column("directive", ratio=1)
        for name in ("events", "opened", "stage", *RISK_CLASSES):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows[: self._most]:
            counts = [row.events, row.opened, *(row.alarms[name] for name in RISK_CLASSES)]
            cells = [f"{count:,}" for count in counts]
            cells.insert(2, f"{row.furthest_stage}/{row.stages}")
            table.add_row(_name(row), *cells)
        self._print(table, len(rows))

    def never_matched(self, rows: Sequence[DirectiveStats]) -> None:
        table = make_table("Never matched")
        table.add_column("directive", ratio=1)
        table.add_column("events of its plugins", justify="right")
        for row in rows[: self._most]:
            table.add_row(_name(row), f"{row.concerned:,}")
        self._print(table, len(rows))

    def signatures(self, signatures: Sequence[Signature], others: int) -> None:
        table = make_table("Events that no directive is for")
        table.add_column("plugin", no_wrap=True)
        table.add_column("title", ratio=1)
        table.add_column("product, category", ratio=1)
        table.add_column("events", justify="right", no_wrap=True)
        for row in signatures[: self._most]:
            plugin = f"{row.plugin_id}:{row.plugin_sid}" if row.plugin_id else "-"
            taxonomy = ", ".join(filter(None, (row.product, row.category)))
            table.add_row(plugin, Text(row.title), Text(taxonomy), f"{row.events:,}")
        self._print(table, len(signatures))
        if others:
            self.line(f"{others:,} events of signatures that were too many to keep")

    def noisiest(self, title: str, rows: Sequence[DirectiveStats], counts: dict[int, int]) -> None:
        """A line with the directives of the highest counts, and their shares."""
        total = sum(counts.values())
        first = sorted((row for row in rows if counts[row.id]), key=lambda row: -counts[row.id])
        parts = [
            f"{counts[row.id]:,} by {row.id} ({counts[row.id] * 100 // total} %)"
            for row in first[:MAX_NOISY]
        ]
        if parts:
            self.line(f"{title}: {', '.join(parts)}")

    def _print(self, table: Table, count: int) -> None:
        if not count:
            return
        self._console.print(table)
        if self._most is not None and count > self._most:
            self.line(f"… and {count - self._most:,} more: --all shows them")


def _name(row: DirectiveStats) -> Text:
    return Text(f"{row.id} {shorten(row.name, MAX_NAME)}")
