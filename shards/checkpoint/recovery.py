"""Selects the backlogs on disk with which a shard continues.

The checkpoint and the saved files of dsiem-backend can both hold backlogs of a directive: the newer
of the two counts.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec
from loguru import logger
from msgspec import Struct

from engine.alarm import BacklogKey
from engine.correlation.snapshot import (
    BacklogSnapshot,
    DroppedBacklog,
    HeldItems,
    UnusableBacklogError,
)
from engine.directives.directive import Directive
from engine.dsiem_format.saved_alarm import snapshot_from_alarm
from engine.options import Options
from shards.checkpoint.backlog_rows import BLOCK_ITEMS, decode_backlog
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.definition_rows import former_definitions
from shards.checkpoint.saved_folder import SavedFile, SavedFolder
from shards.checkpoint.store import CheckpointStore
from shards.logs import KindLog
from shards.progress import TrackProgress, untracked

_OF_NO_BACKLOG = -1
"""The order of items whose backlog is not restored, so that they are deleted."""


class RecoveredBacklogs(Struct, frozen=True):
    """Backlogs of some directives that were on disk.

    `states`: those to restore. `rows`: keys of all backlogs in the checkpoint, with the items that
    it holds in blocks. `files`: directives that have a saved file. `changed`: those that have
    another definition now than the rows.
    """

    states: list[BacklogSnapshot]
    rows: dict[BacklogKey, HeldItems]
    files: list[int]
    changed: Collection[int] = ()

    @property
    def current_rows(self) -> Iterator[BacklogKey]:
        """The keys of the rows that are as they would be written again, if they are restored."""
        return (
            key
            for key, held in self.rows.items()
            if held.order != _OF_NO_BACKLOG and key[0] not in self.changed
        )


class _CheckpointContent(Struct, frozen=True):
    """Backlogs of some directives in the checkpoint; `last_saved_ns` and `handed_over` of all.

    `former`: definitions that rows are under, but the configuration has others.
    """

    snapshots: dict[int, list[BacklogSnapshot]]
    rows: dict[BacklogKey, HeldItems]
    former: Mapping[int, Directive] = MappingProxyType({})
    last_saved_ns: Mapping[int, int] = MappingProxyType({})
    handed_over: frozenset[int] = frozenset()


def recover_backlogs(
    store: CheckpointStore,
    folder: SavedFolder | None,
    directives: Mapping[int, Directive],
    options: Options,
    track_progress: TrackProgress = untracked,
) -> RecoveredBacklogs:
    """Read the backlogs of these directives from the checkpoint and, with a folder, saved files.

    Logs backlogs and files that cannot be read or do not fit their directive, and leaves them out.
    """
    checkpoint = _load_checkpoint(store, directives, track_progress)
    files = {} if folder is None else folder.read(directives)
    states: list[BacklogSnapshot] = []
    superseded: set[int] = set()
    for id_ in directives:
        if _is_newer(files.get(id_), checkpoint, id_):
            states += _snapshots_of_file(files[id_], directives[id_], options)
            superseded.add(id_)
        elif folder is None or id_ in files or id_ not in checkpoint.handed_over:
            states += checkpoint.snapshots.get(id_, ())
        # Else the saved file that was written at the stop is gone: another program continues it.
    rows = {
        key: HeldItems(_OF_NO_BACKLOG, held.numbers) if key[0] in superseded else held
        for key, held in checkpoint.rows.items()
    }
    return RecoveredBacklogs(states, rows, list(files), checkpoint.former)


def _is_newer(file: SavedFile | None, checkpoint: _CheckpointContent, directive: int) -> bool:
    """Whether there is a saved file, and no newer backlog of the directive in the checkpoint."""
    return file is not None and (
        directive not in checkpoint.snapshots or file.mtime_ns > checkpoint.last_saved_ns[directive]
    )


def _load_checkpoint(
    store: CheckpointStore, directives: Mapping[int, Directive], track_progress: TrackProgress
) -> _CheckpointContent:
    """Read the rows of these directives; logs an unreadable file, and returns no rows."""
    try:
        rows = store.load(directives)
        former = former_definitions(store.load_definitions(directives.keys()), directives)
        content = _CheckpointContent(
            {}, {}, former, store.last_saved_ns(), store.handed_over_directives()
        )
    except CheckpointError as error:
        logger.error(f"the crash checkpoint cannot be read: {error}")
        return _CheckpointContent({}, {})
    unreadable = KindLog("ERROR", "a backlog in the crash checkpoint cannot be read")
    for row in track_progress(rows):
        key = row.directive, row.opened_by
        numbers = {name: BLOCK_ITEMS * len(blocks) for name, blocks in row.blocks.items()}
        try:
            snapshot = decode_backlog(row.state, row.blocks)
        except ValueError as error:
            about = {"directive": row.directive, "why": str(error)}
            unreadable.add(tuple(about.values()), about)
            content.rows[key] = HeldItems(_OF_NO_BACKLOG, numbers)
        else:
            if snapshot.definition is None and row.directive in former:
                snapshot = msgspec.structs.replace(snapshot, definition=former[row.directive])
            content.snapshots.setdefault(row.directive, []).append(snapshot)
            content.rows[key] = HeldItems(snapshot.order, numbers)
    unreadable.flush()
    return content


def _snapshots_of_file(
    file: SavedFile, directive: Directive, options: Options
) -> Iterator[BacklogSnapshot]:
    """Convert the alarms of a saved file; logs those that do not fit the directive."""
    dropped: list[DroppedBacklog] = []
    for order, alarm in enumerate(file.alarms):
        try:
            snapshot = snapshot_from_alarm(alarm, directive, options)
        except UnusableBacklogError as error:
            dropped.append(error.dropped(directive.id, alarm.alarm_id, alarm.title))
        else:
            yield msgspec.structs.replace(snapshot, order=order)
    log_dropped(dropped)


def log_dropped(dropped: Iterable[DroppedBacklog]) -> None:
    """Log saved backlogs that are not restored: a line for each directive and reason."""
    log = KindLog("WARNING", "a saved backlog is dropped")
    for backlog in dropped:
        log.add((backlog.directive, backlog.reason), msgspec.structs.asdict(backlog))
    log.flush()
