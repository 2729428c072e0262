"""What the run before this one has left: where its shards were, and the lines it wrote after that.

Read at the start, before any worker writes.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path

from loguru import logger
from msgspec import Struct, field

from shards.alarm_files import AlarmFiles
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.other_services import load_others
from shards.checkpoint.paths import checkpoint_path
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.store import CheckpointStore
from shards.file_position import FilePosition, FilePositions, decode_positions, position_at
from shards.rotated_files import MAX_LINE_BYTES, AppendedLines
from shards.settings.settings import Settings
from shards.supervisor import written_lines
from shards.supervisor.written_lines import WrittenLines

_NANOSECONDS = 1_000_000_000
_UNKNOWN_BYTES = 64 << 20
"""Bytes at the end of a file that are read if the checkpoint does not say where it was: those of
many seconds."""


class FormerRun(Struct, frozen=True):
    """`written`: lines since its checkpoints.

    `died_after`: time of the oldest of its last checkpoints, in seconds since the epoch, if it did
    not end in order, and what came after that is not given again; otherwise None.
    """

    written: WrittenLines = field(default_factory=WrittenLines)
    died_after: float | None = None

    def seconds_unreported(self) -> float:
        """Time from the last checkpoints until now, of which nothing is known."""
        return 0.0 if self.died_after is None else max(0.0, time.time() - self.died_after)


def read_former_run(settings: Settings, files: AlarmFiles) -> FormerRun:
    """Read the checkpoint, and the alarm files from where they were then.

    Deletes rows that others supersede. Logs what cannot be read.
    """
    try:
        with closing(CheckpointStore(checkpoint_path(settings))) as store:
            rows = _load_rows(store)
    except CheckpointError as error:
        logger.error(f"the crash checkpoint cannot be read: {error}")
        return FormerRun()
    died_after = _died_after(rows)
    services = [rows, *_rows_of_others(settings, rows)]
    try:
        positions = _oldest_positions(services) or _near_the_end(files)
    except OSError as error:
        _log_unknown(Path(error.filename), str(error.strerror))
        return FormerRun(died_after=died_after)
    written = _read_lines(files, positions, has_died=not all(row.ended for row in chain(*services)))
    return FormerRun(written, died_after)


def _load_rows(store: CheckpointStore) -> list[ShardRow]:
    """The rows of shards, without those that others supersede.

    These are deleted, unless they are from another number of services: other services begin with
    them, now or later.
    """
    rows = store.load_shards()
    superseded = superseded_rows(rows)
    nodes = rows[-1].nodes if rows else 0
    if obsolete := [row for row in superseded if row.nodes == nodes]:
        with suppress(CheckpointError):  # at the next start, then
            store.delete_shards(obsolete)
    return [row for row in rows if row not in superseded]


def superseded_rows(
    rows: Iterable[ShardRow], by: Iterable[ShardRow] | None = None
) -> list[ShardRow]:
    """The rows of which nothing is needed any more; `by`: because of which, by default all.

    Those of a layout are not needed once all workers of another layout have come as far; positions
    tell that if they are of the same stream, otherwise the time does.
    """
    rows = list(rows)
    layouts = _complete_layouts(rows if by is None else by)
    complete = [found for found in layouts if len({row.stream for row in found}) == 1]
    return [
        row
        for row in rows
        if any(_have_passed(found, row) for found in complete if found[0].layout != row.layout)
    ]


def _complete_layouts(rows: Iterable[ShardRow]) -> list[list[ShardRow]]:
    """The rows of each layout of which all workers have one."""
    by_layout: dict[tuple[int, int], list[ShardRow]] = {}
    for row in rows:
        by_layout.setdefault(row.layout, []).append(row)
    return [found for found in by_layout.values() if len(found) == found[0].workers]


def _have_passed(others: Iterable[ShardRow], row: ShardRow) -> bool:
    return all(row.is_before(other) for other in others)


def _died_after(rows: list[ShardRow]) -> float | None:
    """See FormerRun; `rows`: the one written last at the end."""
    if not rows:
        return None
    last_run = rows[-1].run
    alive = [row.at for row in rows if row.run == last_run and not (row.ended or row.stream)]
    return min(alive) / _NANOSECONDS if alive else None


def _rows_of_others(settings: Settings, own: Sequence[ShardRow]) -> list[list[ShardRow]]:
    """The rows of each other service whose directives may go on here.

    They write into the same files.
    """
    by_service: dict[int, list[ShardRow]] = {}
    for shard in load_others(settings, own):
        if not superseded_rows([shard.row], by=own):
            by_service.setdefault(shard.part, []).append(shard.row)
    return list(by_service.values())


def _oldest_positions(services: Iterable[Sequence[ShardRow]]) -> FilePositions | None:
    """Where the oldest checkpoint was in the alarm files; None if one is missing, or has none.

    That is so at a first start, after an upgrade, and if the run before died while it was young.
    """
    written = [rows for rows in services if rows]
    if not all(map(_complete_layouts, written)):
        return None
    found = [decode_positions(row.files) for row in chain(*written)]
    known = [positions for positions in found if positions is not None]
    if len(known) < len(found):
        return None
    return min(known, key=lambda positions: positions.at, default=None)


def _near_the_end(files: AlarmFiles) -> FilePositions:
    """Positions after which the lines of the last seconds are. OSError."""
    alarms, alarm_events = map(_line_near_the_end, files.paths)
    return FilePositions(time.time_ns(), alarms, alarm_events)


def _line_near_the_end(path: Path) -> FilePosition:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _UNKNOWN_BYTES))
        if size > _UNKNOWN_BYTES:
            file.readline(MAX_LINE_BYTES)
        return position_at(file.fileno(), file.tell())


def _read_lines(files: AlarmFiles, since: FilePositions, *, has_died: bool) -> WrittenLines:
    """Read the lines since these positions. Logs if some are missing, if that matters."""
    written = WrittenLines(since)
    alarms, alarm_events = files.paths
    for path, position, add in (
        (alarms, since.alarms, written.add_alarms),
        (alarm_events, since.alarm_events, written.add_alarm_events),
    ):
        lines = AppendedLines(path, position, since.at)
        add(lines)
        if lines.why and has_died:
            _log_unknown(path, lines.why)
    if has_died and not written.has_all:
        _log_unknown(alarms.parent, f"there are too many, more than {written_lines.MAX_LINES}")
    return written


def _log_unknown(path: Path, why: str) -> None:
    about = {"file": str(path), "why": why}
    logger.bind(**about).warning(
        "some alarm lines of the last run are not known, and may be written twice"
    )
