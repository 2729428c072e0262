"""Restores a shard from what is on disk: open backlogs, its memory, its position and counts."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing, suppress
from functools import cache

from loguru import logger
from msgspec import Struct
from msgspec.structs import replace

from engine.alarm import BacklogKey
from engine.correlation.correlator import Correlator
from engine.correlation.memory import Memory
from engine.correlation.snapshot import BacklogSnapshot, DroppedBacklog, HeldItems
from engine.directives.directive import Directive
from engine.options import Options
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.memory_rows import restore_cool_downs, restore_memory
from shards.checkpoint.other_services import Checkpoints
from shards.checkpoint.recovery import RecoveredBacklogs, log_dropped, recover_backlogs
from shards.checkpoint.saved_folder import SavedFolder
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.stats import ShardProgress
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.stream_positions import SavedShard, find_positions
from shards.ledger import Ledger, decode_ledger
from shards.placement import shard_of_directive
from shards.progress import TrackProgress, untracked


class Restored(Struct, frozen=True):
    """What was on disk.

    `keys`: of all backlogs that are restored, or have rows; `unsaved`: of these, the ones whose
    rows are not as they would be written again; `held`: items in blocks. `files`: directives that
    have a saved file. `alarm_files`: where these were, if it is a checkpoint of this run.
    """

    keys: set[BacklogKey]
    unsaved: set[BacklogKey]
    held: Mapping[BacklogKey, HeldItems]
    files: Collection[int]
    alarm_files: bytes


def restore_shard(
    correlator: Correlator,
    directives: Mapping[int, Directive],
    options: Options,
    progress: ShardProgress,
    checkpoints: Checkpoints,
    folder: SavedFolder | None,
    track_progress: TrackProgress = untracked,
) -> Restored:
    """Restore the backlogs on disk into the correlator; logs and drops what does not fit.

    Sets `progress` if the worker has saved it in this run. `folder`: that of the saved files, if
    they are to be read.
    """
    recovered = _recover(checkpoints, folder, directives, options, track_progress)
    dropped: list[DroppedBacklog] = []
    remembered = _restore_memory(correlator.memory, checkpoints, progress)
    for state in track_progress(sorted(recovered.states, key=lambda state: state.order)):
        ids_only = state.ids_only and state.directive not in remembered
        dropped += correlator.restore((replace(state, ids_only=ids_only),))
    log_dropped(dropped)
    number = len(recovered.states) - len(dropped)
    alarm_files = _restore_progress(progress, checkpoints.own)
    backlogs = progress.ledger.backlogs
    if alarm_files is not None:
        backlogs["interrupted"] += backlogs["open"] - number
    else:
        backlogs["restored"] += number
    if number:
        logger.bind(backlogs=number, files=len(recovered.files)).info("backlogs restored")
    keys = recovered.rows.keys() | {state.key for state in recovered.states}
    return Restored(
        keys,
        keys - {key for key in recovered.current_rows if correlator.is_open(key)},
        {key: held for key, held in recovered.rows.items() if held.numbers},
        recovered.files,
        alarm_files or b"",
    )


def _recover(
    checkpoints: Checkpoints,
    folder: SavedFolder | None,
    directives: Mapping[int, Directive],
    options: Options,
    track_progress: TrackProgress,
) -> RecoveredBacklogs:
    """The backlogs of all checkpoints; rows are those of the own one, of its directives."""
    own = dict(directives)
    states: list[BacklogSnapshot] = []
    files: list[int] = []
    for path, ids in checkpoints.taken_over.items():
        taken = {directive: own.pop(directive) for directive in ids}
        with closing(CheckpointStore(path)) as store:
            found = recover_backlogs(store, folder, taken, options, track_progress)
        states += found.states
        files += found.files
        logger.bind(file=str(path), directives=len(taken), backlogs=len(found.states)).info(
            "directives of another service are taken over"
        )
    found = recover_backlogs(checkpoints.own, folder, own, options, track_progress)
    return RecoveredBacklogs(found.states + states, found.rows, found.files + files, found.changed)


def _restore_memory(memory: Memory, checkpoints: Checkpoints, progress: ShardProgress) -> set[int]:
    """Restore the memory; returns the directives of what was taken."""

    @cache
    def is_here(directive: int) -> bool:
        _, worker = shard_of_directive(directive, progress.nodes, progress.workers)
        return worker == progress.worker

    for path, ids in checkpoints.taken_over.items():
        with closing(CheckpointStore(path)) as store:
            _restore_memory_of(memory, store, ids.__contains__)
    _restore_memory_of(memory, checkpoints.own, is_here)
    return {directive for _, directive in memory.taken.stamps.values()}


def _restore_memory_of(
    memory: Memory, store: CheckpointStore, is_here: Callable[[int], bool]
) -> None:
    with suppress(CheckpointError):  # which recover_backlogs has logged
        restore_memory(memory, store.load_memory(), is_here)
        restore_cool_downs(memory, store.load_cool_downs(is_here))


def _restore_progress(progress: ShardProgress, store: CheckpointStore) -> bytes | None:
    """Go on with the position and counts that this worker saved in this run.

    The generation stays that of the directives that are there already; see saved_generation.
    Returns where the alarm files were then; None if it has saved nothing.
    """
    saved = _load_progress(store, progress.worker, progress.run)
    if saved is None:
        return None
    row, ledger = saved
    counts = progress.ledger
    capped = counts.capped  # the correlator's
    capped.update(ledger.capped)
    for name in ledger.__struct_fields__:
        setattr(counts, name, getattr(ledger, name))
    counts.capped = capped
    progress.position = row.position
    return row.files


def _load_progress(store: CheckpointStore, worker: int, run: str) -> tuple[ShardRow, Ledger] | None:
    """What a worker has saved in a run, if it has, and all of that can be read."""
    try:
        row = store.load_shard(worker, run)
        return (row, decode_ledger(row.counts)) if row else None
    except (CheckpointError, ValueError):  # recover_backlogs logs what is unreadable
        return None


def saved_generation(store: CheckpointStore, worker: int, run: str) -> int | None:
    """The generation of the configuration with which a worker that died is to start again.

    None if nothing of it can be restored.
    """
    saved = _load_progress(store, worker, run)
    return saved and saved[0].generation


def restore_positions(
    progress: ShardProgress, shards: Iterable[SavedShard], directives: Collection[int]
) -> Mapping[int, int]:
    """Set the position in the stream to the lowest of these directives.

    Returns the directives that are ahead of it, with their positions.
    """
    found = find_positions(shards, directives)
    progress.position, progress.stream = found.lowest, found.stream
    return found.ahead
