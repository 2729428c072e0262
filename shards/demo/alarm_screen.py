"""The screen of the demo: the alarms as they are written, and the ledger.

It has the tables and texts only; the command runs the service and posts the events.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

STYLES = {"High": "bold red", "Medium": "yellow", "Low": "green"}
MOST_ALARMS = 1000
"""Alarms that are kept, the newest ones: the demo may run for hours."""
Alarm = dict[str, Any]
"""A line of siem_alarms.json."""


class AlarmScreen:
    """The latest line of each alarm, and the progress of the demo.

    `hour`: the hour of the events being posted; `posted`: number of events posted; `count`: number
    of alarms, those included that are not kept; `note`: what the last line says besides.
    """

    def __init__(self) -> None:
        self.alarms: dict[str, Alarm] = {}
        self.hour = self.note = ""
        self.posted = 0
        self.count = 0

    def update(self, alarm: Alarm) -> bool:
        """Add a line of an alarm; returns whether risk, stages or lookup hits have changed."""
        before = self.alarms.get(alarm["alarm_id"])
        self.alarms[alarm["alarm_id"]] = alarm
        self.count += before is None
        if len(self.alarms) > MOST_ALARMS:
            self.alarms.pop(next(iter(self.alarms)))
        return before is None or _state(before) != _state(alarm)

    def live(self, height: int) -> Group:
        """The newest alarms that fit into this height, and a line with the progress."""
        fitting = list(self.alarms.values())[-max(1, height - 6) :]
        progress = f" {self.hour}  {self.posted:,} events posted, {self.count} alarms   {self.note}"
        return Group(_alarm_table(fitting, wrap=False), Text(progress, style="dim"))

    def final(self) -> Table:
        """All alarms, by descending risk."""
        return _alarm_table(sorted(self.alarms.values(), key=lambda a: -a["risk"]), wrap=True)

    def completed_directives(self) -> set[tuple[str, ...]]:
        """The directives with an alarm that finished all stages, by the names of their rules."""
        finished = [a for a in self.alarms.values() if _finished(a) == len(a["rules"])]
        return {rule_names(alarm) for alarm in finished}


def _finished(alarm: Alarm) -> int:
    """Number of finished stages."""
    return sum(rule.get("status") == "finished" for rule in alarm["rules"])


def _state(alarm: Alarm) -> tuple[int, int, int]:
    return alarm["risk"], _finished(alarm), len(lookup_hits(alarm))


def lookup_hits(alarm: Alarm) -> list[str]:
    """The results of lookups, as texts."""
    results = alarm.get("intel_hits", []) + alarm.get("vulnerabilities", [])
    return [f"{hit['provider']}, {hit['term']}: {hit['result']}" for hit in results]


def rule_names(directive: dict[str, Any]) -> tuple[str, ...]:
    """The names of the rules of a directive or alarm, in order of stages."""
    rules = sorted(directive["rules"], key=lambda rule: rule["stage"])
    return tuple(rule["name"] for rule in rules)


def _stages(alarm: Alarm) -> str:
    return f"{_finished(alarm)}/{len(alarm['rules'])}"


def _risk(alarm: Alarm) -> str:
    return f"{alarm['risk']} {alarm['risk_class']}"


def _end_time(alarm: Alarm) -> str:
    """The end time of its last stage, which is the timestamp of its last event."""
    ended = max(rule.get("end_time", 0) for rule in alarm["rules"])
    return f"{datetime.fromtimestamp(ended, UTC):%H:%M:%S}"


def _alarm_table(alarms: Sequence[Alarm], *, wrap: bool) -> Table:
    table = _table("Alarms", show_header=True)
    for heading in ("UTC", "risk", "stages"):
        table.add_column(heading, no_wrap=True)
    table.add_column("alarm", ratio=1)
    for alarm in alarms:
        risk = Text(_risk(alarm), STYLES[alarm["risk_class"]])
        style: dict[str, Any] = {"no_wrap": not wrap, "overflow": "fold" if wrap else "ellipsis"}
        title = Text(alarm["title"], **style)
        results = lookup_hits(alarm)
        if results and not wrap:
            title = Text.assemble((f"{len(results)} found  ", "cyan"), title, **style)
        for hit in results if wrap else ():
            title.append(f"\n{hit}", "cyan")
        table.add_row(_end_time(alarm), risk, _stages(alarm), title)
    return table


def _table(title: str, *, show_header: bool) -> Table:
    style: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "box": SIMPLE_HEAD}
    return Table(title=title, show_header=show_header, **style)


def ledger_table(ledger: dict[str, Any]) -> Table:
    """The ledger of a service as a table."""
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


def alarm_line(alarm: Alarm) -> str:
    """An alarm as one line of text, with the last result of lookups."""
    about = f"{_risk(alarm):<8}  {_stages(alarm)}  {alarm['title']}"
    return "; ".join((f"{_end_time(alarm)}  {about}", *lookup_hits(alarm)[-1:]))
