"""Which of the backlogs on disk a shard goes on with.

Both the crash checkpoint and the saved files of peers may have some of a directive: the newer one
wins. What may live here: that choice. What may not: reading either form, and writing anything.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec
from loguru import logger
from msgspec import Struct

from engine.alarm import BacklogKey
from engine.correlation.snapshot import BacklogSnapshot, DroppedBacklog, UnusableBacklogError
from engine.directives.directive import Directive
from engine.dsiem_format.saved_alarm import snapshot_from_alarm
from engine.options import Options
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.saved_folder import SavedFile, SavedFolder
from shards.checkpoint.store import CheckpointStore

_states = msgspec.json.Decoder(BacklogSnapshot)


class RecoveredBacklogs(Struct, frozen=True):
    """What there is to go on with.

    `rows`: keys of all backlogs in the checkpoint. `files`: directives that have a saved file.
    """

    states: list[BacklogSnapshot]
    rows: set[BacklogKey]
    files: list[int]


class _Rows(Struct, frozen=True):
    """The crash checkpoint, as far as these directives go."""

    by_directive: dict[int, list[BacklogSnapshot]]
    saved_at: Mapping[int, int] = MappingProxyType({})
    handed_over: frozenset[int] = frozenset()


def recover_backlogs(
    checkpoint: CheckpointStore,
    folder: SavedFolder | None,
    directives: Mapping[int, Directive],
    options: Options,
) -> RecoveredBacklogs:
    """What these directives go on with; without a folder, saved files do not count."""
    rows = _rows(checkpoint, directives)
    files = {} if folder is None else folder.read(directives)
    states: list[BacklogSnapshot] = []
    for id_, directive in directives.items():
        if _file_counts(files.get(id_), rows, id_):
            states += _of_file(files[id_], directive, options)
        elif folder is None or id_ in files or id_ not in rows.handed_over:
            states += rows.by_directive.get(id_, ())
        # Else it was left for another program as a saved file, which is gone: that one has it.
    known = {state.key for states in rows.by_directive.values() for state in states}
    return RecoveredBacklogs(states, known, list(files))


def _file_counts(file: SavedFile | None, rows: _Rows, directive: int) -> bool:
    """Whether a saved file is all there is of a directive, or newer than the checkpoint."""
    return file is not None and (
        directive not in rows.by_directive or file.mtime_ns > rows.saved_at[directive]
    )


def _rows(checkpoint: CheckpointStore, directives: Mapping[int, Directive]) -> _Rows:
    """All rows of these directives; none when the file cannot be read, which is logged."""
    try:
        loaded = checkpoint.load(directives)
        found = _Rows({}, checkpoint.saved_at(), checkpoint.handed_over())
    except CheckpointError as error:
        logger.error(f"the crash checkpoint cannot be read: {error}")
        return _Rows({})
    for directive, raw in loaded:
        try:
            state = _states.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            logger.bind(directive=directive, why=str(error)).error(
                "a backlog in the crash checkpoint cannot be read"
            )
        else:
            found.by_directive.setdefault(directive, []).append(state)
    return found


def _of_file(file: SavedFile, directive: Directive, options: Options) -> Iterable[BacklogSnapshot]:
    for order, alarm in enumerate(file.alarms):
        try:
            yield msgspec.structs.replace(
                snapshot_from_alarm(alarm, directive, options), order=order
            )
        except UnusableBacklogError as unfit:
            log_dropped(unfit.dropped(directive.id, alarm.alarm_id, alarm.title))


def log_dropped(dropped: DroppedBacklog) -> None:
    """Log a saved backlog that is not taken up."""
    logger.bind(**msgspec.structs.asdict(dropped)).warning("a saved backlog is dropped")
