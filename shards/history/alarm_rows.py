"""Writes the lines of alarms into the history."""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from shards.history.alarm_line import (
    MAX_TITLE,
    NO_DETAILS,
    AlarmLine,
    address_text,
    decode_line,
    progress_of,
    search_text,
)
from shards.history.schema import BUCKET_SECONDS
from shards.ipc.queries import AlarmAbout

_ZLIB_LEVEL = 1  # a line of 2 kB takes 30 µs, and a fourth of its size
_CHANGE = """
INSERT INTO change (id, written, risk, risk_class, stage, state) VALUES (?, ?, ?, ?, ?, ?)
"""
_ALARM_COLUMNS = (
    *("sequence", "id", "directive", "title", "kingdom", "category", "status", "tag"),
    *("risk", "risk_class", "state", "stage", "stages", "stages_finished"),
    *("created", "updated", "first_written", "written", "source", "src_count", "dst_count"),
    *("intel_hits", "vulnerabilities", "names", "src", "dst", "search"),
)
_ALARM = f"""
INSERT INTO alarm ({", ".join(_ALARM_COLUMNS)})
VALUES ({", ".join("?" * len(_ALARM_COLUMNS))})
"""
_FIRED = """
INSERT INTO fired VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET alarms = alarms + excluded.alarms
"""
_LAST_FIRED = """
INSERT INTO last_fired VALUES (?, ?)
ON CONFLICT DO UPDATE SET created = max(created, excluded.created)
"""


class WrittenLine(Struct, frozen=True):
    """A line of an alarm, and when it was written."""

    raw: bytes
    written: float


class _Known(Struct, frozen=True):
    """What a former line of an alarm has left that the next one keeps."""

    directive: int | None
    names: str
    first_written: float


def write_alarms(
    connection: sqlite3.Connection,
    lines: Iterable[WrittenLine],
    about: Mapping[str, AlarmAbout],
) -> int:
    """Write lines in their order, within the transaction of the caller.

    `about`: what is known of alarms, of these lines or of those before. Returns the highest
    sequence, 0 if there was no line of an alarm.
    """
    last: dict[str, tuple[int, AlarmLine, WrittenLine]] = {}
    sequence = 0
    for line in lines:
        try:
            alarm = decode_line(line.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # the lines are those of this program
            continue
        sequence = _write_change(connection, alarm, line.written)
        last[alarm.alarm_id] = sequence, alarm, line
    created: list[tuple[int | None, int]] = []
    for id_, (number, alarm, line) in last.items():
        known = _known(connection, id_)
        details = about.get(id_, NO_DETAILS)
        _write_alarm(connection, number, alarm, line, known, details)
        if known is None and details.directive:
            created.append((details.directive, alarm.created_time or alarm.update_time))
    _count_fired(connection, created)
    _add_directives(connection, about.keys() - last.keys(), about)
    return sequence


def _write_change(connection: sqlite3.Connection, alarm: AlarmLine, written: float) -> int:
    progress = progress_of(alarm.rules)
    row = (alarm.alarm_id, written, alarm.risk, alarm.risk_class, progress.stage, progress.state)
    return int(connection.execute(_CHANGE, row).lastrowid or 0)


def _known(connection: sqlite3.Connection, id_: str) -> _Known | None:
    """What the alarm had before; its row is deleted, since it gets a new sequence."""
    row = connection.execute(
        "DELETE FROM alarm WHERE id = ? RETURNING directive, names, first_written", (id_,)
    ).fetchone()
    return None if row is None else _Known(*row)


def _write_alarm(
    connection: sqlite3.Connection,
    sequence: int,
    alarm: AlarmLine,
    line: WrittenLine,
    known: _Known | None,
    about: AlarmAbout,
) -> None:
    progress = progress_of(alarm.rules)
    names = about.names
    if not about.directive and known is not None:
        names = msgspec.json.decode(known.names)
    directive = about.directive or (known.directive if known else None)
    row = (
        *(sequence, alarm.alarm_id, directive, alarm.title[:MAX_TITLE]),
        *(alarm.kingdom[:MAX_TITLE], alarm.category[:MAX_TITLE], alarm.status, alarm.tag),
        *(alarm.risk, alarm.risk_class, progress.state, progress.stage),
        *(len(alarm.rules), progress.finished),
        *(alarm.created_time or alarm.update_time, alarm.update_time),
        *(known.first_written if known else line.written, line.written),
        alarm.src_ips[0] if alarm.src_ips else "",
        *(len(alarm.src_ips), len(alarm.dst_ips)),
        *(len(alarm.intel_hits), len(alarm.vulnerabilities)),
        msgspec.json.encode(names).decode(),
        *(address_text(alarm.src_ips), address_text(alarm.dst_ips)),
        search_text(alarm, names),
    )
    connection.execute(_ALARM, row)
    packed = zlib.compress(line.raw, _ZLIB_LEVEL)
    connection.execute("INSERT OR REPLACE INTO record VALUES (?, ?)", (alarm.alarm_id, packed))


def _count_fired(connection: sqlite3.Connection, created: Iterable[tuple[int | None, int]]) -> None:
    created = list(created)
    counts = Counter((id_, time // BUCKET_SECONDS * BUCKET_SECONDS) for id_, time in created)
    connection.executemany(_FIRED, [(*key, number) for key, number in counts.items()])
    connection.executemany(_LAST_FIRED, created)


def _add_directives(
    connection: sqlite3.Connection, ids: Iterable[str], about: Mapping[str, AlarmAbout]
) -> None:
    """Add the directives of alarms whose lines came ahead of their report."""
    for id_ in ids:
        details = about[id_]
        row = connection.execute(
            "UPDATE alarm SET directive = ?, names = ? WHERE id = ? AND directive IS NULL"
            " RETURNING created",
            (details.directive, msgspec.json.encode(details.names).decode(), id_),
        ).fetchone()
        if row is not None:
            _count_fired(connection, [(details.directive, int(row[0]))])
