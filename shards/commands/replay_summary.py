"""The summary of a replay: alarms, ledger and rate, as tables and as JSON."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from rich.table import Table
from rich.text import Text

from engine.alarm import AlarmRecord, PublishedAlarm
from engine.options import RISK_CLASSES
from shards.commands.tables import (
    RISK_STYLES,
    count_stages,
    format_moment,
    list_counts,
    make_table,
    nonzero_parts,
    with_spaces,
)
from shards.commands.terminal import OutputConsole
from shards.ledger import OUTCOMES, Ledger
from shards.safe_text import escape_control

MAX_ROWS = 100
"""Alarms in the table; the alarm file has all of them."""
MAX_ADDRESSES = 2


class AlarmTally:
    """Counts the alarms published, each once; keeps their last records if wanted."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._class_of: dict[str, str] = {}
        self._records: dict[str, AlarmRecord] = {}

    def add(self, published: Iterable[PublishedAlarm]) -> None:
        """Add published alarms; of an alarm the last one counts."""
        for publish in published:
            alarm = publish.alarm
            self._class_of[alarm.alarm_id] = alarm.risk_class
            if self._keep:
                self._records[alarm.alarm_id] = alarm

    @property
    def by_class(self) -> dict[str, int]:
        """Number of alarms by risk class."""
        counts = Counter(self._class_of.values())
        return {name: counts[name] for name in RISK_CLASSES}

    @property
    def records(self) -> list[AlarmRecord]:
        """The kept alarms by descending risk, then in order of first publication."""
        return sorted(self._records.values(), key=lambda alarm: -alarm.risk)


class Summary(Struct, frozen=True):
    """The results of a replay; `seconds` of wall time, `files` written."""

    ledger: Ledger
    alarms: AlarmTally
    seconds: float
    files: tuple[Path, ...]

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.ledger.events.received / self.seconds if self.seconds else 0.0

    def as_document(self) -> dict[str, Any]:
        """The summary for programs."""
        return {
            "ledger": self.ledger,
            "adds_up": self.ledger.adds_up,
            "alarms": self.alarms.by_class,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rate),
            "files": [str(path) for path in self.files],
        }


def print_summary(summary: Summary) -> None:
    """Print the summary as tables: alarms if they were kept, the ledger, the files."""
    console = OutputConsole()
    records = summary.alarms.records
    if records:
        console.print(_alarm_table(records[:MAX_ROWS]))
        if len(records) > MAX_ROWS:
            console.print(f"… and {len(records) - MAX_ROWS} more, in {summary.files[0]}")
    console.print(_ledger_table(summary))
    for path in summary.files:
        console.print(Text(str(path)), soft_wrap=True)


def _alarm_table(alarms: list[AlarmRecord]) -> Table:
    table = make_table("Alarms")
    table.add_column("risk", no_wrap=True)
    table.add_column("alarm, addresses", ratio=1)
    table.add_column("stages", no_wrap=True)
    table.add_column("time (UTC)", no_wrap=True)
    for alarm in alarms:
        table.add_row(
            Text(f"{alarm.risk} {alarm.risk_class}", RISK_STYLES.get(alarm.risk_class, "")),
            Text.assemble(escape_control(alarm.title), "\n", (_addresses(alarm), "dim")),
            _stages(alarm),
            format_moment(alarm.update_time).replace(" ", "\n"),
        )
    return table


def _addresses(alarm: AlarmRecord) -> str:
    return f"{_shorten(alarm.src_ips)} → {_shorten(alarm.dst_ips)}"


def _shorten(addresses: tuple[str, ...]) -> str:
    shown = ", ".join(addresses[:MAX_ADDRESSES])
    more = len(addresses) - MAX_ADDRESSES
    return f"{shown} +{more} more" if more > 0 else shown


def _stages(alarm: AlarmRecord) -> str:
    """`3/3`, or `2/3` and `timeout` if a stage timed out."""
    statuses = [rule.status for rule in alarm.rules]
    return count_stages(statuses) + ("\ntimeout" if "timeout" in statuses else "")


def _ledger_table(summary: Summary) -> Table:
    ledger = summary.ledger
    events, deliveries = ledger.events, ledger.deliveries
    outcomes = {name: ledger.outcomes[name] for name in OUTCOMES}
    backlogs = {name: ledger.backlogs[name] for name in ("finished", "expired", "averted", "open")}
    by_class = summary.alarms.by_class
    rows: list[tuple[str, int, str]] = [
        (
            "events received",
            events.received,
            list_counts(nonzero_parts(asdict(events), "received")),
        ),
        ("delivered", deliveries.sent, list_counts(nonzero_parts(asdict(deliveries), "sent"))),
        ("consumed by backlogs", ledger.outcomes.total(), list_counts(with_spaces(outcomes))),
        ("backlogs opened", ledger.backlogs["opened"], list_counts(backlogs)),
        ("alarms", sum(by_class.values()), list_counts(by_class)),
        ("events per second", round(summary.rate), f"{summary.seconds:.2f} s"),
    ]
    if not ledger.adds_up:
        rows.append(("NOT ACCOUNTED FOR", events.missing, f"{deliveries.missing} deliveries"))
    table = make_table("Ledger", show_header=False)
    for name, count, details in rows:
        table.add_row(name, f"{count:,}", details)
    return table
