"""The differences of two configs as Markdown, for a comment on a merge request.

What comes from outside is shown as code: without markup, links, mentions and line breaks.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from shards.commands.diff_result import (
    MAX_EVENT_ID,
    MAX_TITLE,
    DiffResult,
    describe_change,
    describe_stages,
)
from shards.commands.tables import format_moment
from shards.commands.terminal import print_line
from shards.replay.comparison import KINDS
from shards.replay.tracked_replay import AlarmState
from shards.safe_text import escape_control, shorten

MAX_ROWS = 25
"""Rows of each table without --all: a comment on GitHub has at most 65,536 characters."""
_MARKUP = re.compile(r"""[^\w\s.,()+→…-]|_|(?<=[wW]{3})\.""")
"""What could be markup, HTML, a mention or a link in some dialect."""


def print_markdown(result: DiffResult, show_all: bool) -> None:
    """Print the summary, a table by directive, and the alarms as collapsed details."""
    for line in _lines(result, None if show_all else MAX_ROWS):
        print_line(line)


def _lines(result: DiffResult, most: int | None) -> Iterator[str]:
    found, totals = result.differences, result.totals
    yield f"**Alarms:** {result.summary}"
    for warning in result.warnings:
        yield f"\n> **Warning:** {as_code(escape_control(warning))}"
    rows: list[tuple[object, ...]] = [
        (row.id, as_code(shorten(row.name, MAX_TITLE)), *row.counts.values(), _list(row.changes))
        for row in result.rows
    ]
    if rows:
        head = ("directive", "name", *KINDS, "differs")
        yield ""
        yield from _table(head, rows, len(rows), most)
    alarm_head = ("risk", "alarm", "stages", "events", "first event", "last event")
    for kind, alarms in (("new", found.new), ("gone", found.gone)):
        if alarms:
            rows = [_alarm_row(alarm) for alarm in alarms[:most]]
            yield from _details(kind, totals[kind], _table(alarm_head, rows, totals[kind], most))
    if found.changed:
        rows = [
            (_name(pair.new), _list(describe_change(pair)), as_code(_id(pair.new.first_event)))
            for pair in found.changed[:most]
        ]
        table = _table(("alarm", "old → new", "first event"), rows, totals["changed"], most)
        yield from _details("changed", totals["changed"], table)


def _details(kind: str, count: int, table: Iterable[str]) -> Iterator[str]:
    yield f"\n<details><summary>{count:,} {kind}</summary>\n"
    yield from table
    yield "\n</details>"


def _table(
    head: Sequence[str], rows: Sequence[Sequence[object]], count: int, most: int | None
) -> Iterator[str]:
    """The table; `count` is the number of rows that there are."""
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows[:most]:
        yield f"| {' | '.join(map(str, row))} |"
    if most is not None and count > most:
        yield f"\n… and {count - most:,} more"


def _alarm_row(alarm: AlarmState) -> tuple[object, ...]:
    return (
        f"{alarm.risk} {alarm.risk_class}",
        _name(alarm),
        describe_stages(alarm),
        f"{alarm.events:,}",
        f"{format_moment(alarm.first_time)} {as_code(_id(alarm.first_event))}",
        f"{format_moment(alarm.last_time)} {as_code(_id(alarm.last_event))}",
    )


def _name(alarm: AlarmState) -> str:
    return f"{alarm.directive} {as_code(shorten(alarm.title, MAX_TITLE))}"


def _id(event_id: str) -> str:
    return shorten(event_id, MAX_EVENT_ID)


def _list(texts: Iterable[str]) -> str:
    return "<br>".join(map(as_code, texts))


def as_code(text: str) -> str:
    """A safe line as code, in which no dialect of Markdown finds anything else."""
    return f"<code>{_MARKUP.sub(lambda found: f'&#{ord(found[0])};', text)}</code>" if text else ""
