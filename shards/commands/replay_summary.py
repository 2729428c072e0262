"""The summary of a replay: alarms, ledger and rate, as tables and as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.alarm import AlarmRecord, PublishedAlarm
from shards.ledger import OUTCOMES, Ledger
from shards.safe_text import escape_control

MAX_ROWS = 100
"""Alarms in the table; the alarm file has all of them."""
MAX_ADDRESSES = 2
RISK_CLASSES = ("High", "Medium", "Low")
_STYLES = {"High": "bold red", "Medium": "yellow", "Low": "green"}


class AlarmTally:
    """The alarms that were published, each once; whole records only if asked to keep them."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._class_of: dict[str, str] = {}
        self._records: dict[str, AlarmRecord] = {}

    def note(self, published: Iterable[PublishedAlarm]) -> None:
        """Take note of what was published."""
        for publish in published:
            alarm = publish.alarm
            self._class_of[alarm.alarm_id] = alarm.risk_class
            if self._keep:
                self._records[alarm.alarm_id] = alarm

    @property
    def by_class(self) -> dict[str, int]:
        """How many alarms there are of each risk class."""
        counts = Counter(self._class_of.values())
        return {name: counts[name] for name in RISK_CLASSES}

    @property
    def records(self) -> list[AlarmRecord]:
        """The alarms that were kept, those of the highest risk first, then as they came."""
        return sorted(self._records.values(), key=lambda alarm: -alarm.risk)


class Summary(Struct, frozen=True):
    """What a replay came to; `seconds` of wall time."""

    ledger: Ledger
    book: AlarmTally
    seconds: float
    files: tuple[Path, ...]

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.ledger.events.received / self.seconds if self.seconds else 0.0

    def json(self) -> str:
        """All of it for machines."""
        document = {
            "ledger": self.ledger,
            "adds_up": self.ledger.adds_up,
            "alarms": self.book.by_class,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rate),
            "files": [str(path) for path in self.files],
        }
        return msgspec.json.format(msgspec.json.encode(document)).decode()


def print_summary(summary: Summary) -> None:
    """The summary for people."""
    console = Console()
    records = summary.book.records
    if records:
        console.print(_alarms(records[:MAX_ROWS]))
        if len(records) > MAX_ROWS:
            console.print(f"… and {len(records) - MAX_ROWS} more, in {summary.files[0]}")
    console.print(_ledger(summary))
    for path in summary.files:
        console.print(Text(str(path)), soft_wrap=True)


def _table(title: str, *, show_header: bool = True) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        show_header=show_header,
        box=SIMPLE_HEAD,
    )


def _alarms(alarms: list[AlarmRecord]) -> Table:
    table = _table("Alarms")
    table.add_column("risk", no_wrap=True)
    table.add_column("alarm, addresses", ratio=1)
    table.add_column("stages", no_wrap=True)
    table.add_column("time (UTC)", no_wrap=True)
    for alarm in alarms:
        table.add_row(
            Text(f"{alarm.risk} {alarm.risk_class}", _STYLES.get(alarm.risk_class, "")),
            Text.assemble(escape_control(alarm.title), "\n", (_addresses(alarm), "dim")),
            _stages(alarm),
            _time(alarm.update_time),
        )
    return table


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d\n%H:%M:%S}"
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        return f"{seconds}"


def _addresses(alarm: AlarmRecord) -> str:
    return f"{_side(alarm.src_ips)} → {_side(alarm.dst_ips)}"


def _side(addresses: tuple[str, ...]) -> str:
    shown = ", ".join(addresses[:MAX_ADDRESSES])
    more = len(addresses) - MAX_ADDRESSES
    return f"{shown} +{more} more" if more > 0 else shown


def _stages(alarm: AlarmRecord) -> str:
    """`3/3`, or `2/3` and `timeout` when it went no further."""
    finished = sum(rule.status == "finished" for rule in alarm.rules)
    timed_out = any(rule.status == "timeout" for rule in alarm.rules)
    return f"{finished}/{len(alarm.rules)}" + ("\ntimeout" if timed_out else "")


def _ledger(summary: Summary) -> Table:
    ledger = summary.ledger
    events, deliveries = ledger.events, ledger.deliveries
    table = Table(
        title="Ledger", title_justify="left", title_style="bold", show_header=False, box=SIMPLE_HEAD
    )
    table.add_row("events received", _n(events.received), _parts(events))
    table.add_row("delivered", _n(deliveries.sent), _parts(deliveries))
    outcomes = {name.replace("_", " "): ledger.outcomes[name] for name in OUTCOMES}
    table.add_row("consumed by backlogs", _n(ledger.outcomes.total()), _listed(outcomes))
    backlogs = {name: ledger.backlogs[name] for name in ("finished", "expired", "open")}
    table.add_row("backlogs opened", _n(ledger.backlogs["opened"]), _listed(backlogs))
    by_class = summary.book.by_class
    table.add_row("alarms", _n(sum(by_class.values())), _listed(by_class))
    table.add_row("events per second", _n(round(summary.rate)), f"{summary.seconds:.2f} s")
    if not ledger.adds_up:
        table.add_row("NOT ACCOUNTED FOR", _n(events.missing), f"{deliveries.missing} deliveries")
    return table


def _parts(counts: Struct) -> str:
    """The parts into which what came was divided, zeros left out."""
    parts: dict[str, int] = {}
    for name, value in msgspec.structs.asdict(counts).items():
        if isinstance(value, Mapping):
            parts |= {f"{name} {reason}": count for reason, count in value.items()}
        elif name not in ("received", "sent"):
            parts[name] = value
    return _listed({name: count for name, count in parts.items() if count})


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{_n(count)} {name}" for name, count in counts.items())


def _n(number: int) -> str:
    return f"{number:,}"
