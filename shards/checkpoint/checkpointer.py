"""Keeps the open backlogs of one shard on disk: restores, checkpoints, and saves them at the end.

There are two forms. The checkpoint holds every open backlog completely; changed backlogs are
written to it every few seconds. The saved files, in the format of dsiem-backend, are written at an
orderly stop, so that either program can continue.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain

from loguru import logger

from engine.alarm import BacklogKey
from engine.correlation.correlator import Correlator
from engine.directives.directive import Directive
from engine.options import Options
from shards.checkpoint.backlog_rows import BacklogEncoder
from shards.checkpoint.cut import Cut, SyncLines, nothing_to_sync
from shards.checkpoint.database_file import CheckpointError, CheckpointLostError
from shards.checkpoint.definition_rows import DefinitionEncoder
from shards.checkpoint.memory_rows import MemoryEncoder
from shards.checkpoint.other_services import find_checkpoints
from shards.checkpoint.owned_directives import OwnedDirectives
from shards.checkpoint.paths import FOLDER, checkpoint_path
from shards.checkpoint.readable import wait_until_readable
from shards.checkpoint.restore import restore_positions, restore_shard
from shards.checkpoint.saved_folder import SavedFolder
from shards.checkpoint.stats import CheckpointStats, ShardProgress
from shards.checkpoint.store import CheckpointStore
from shards.checkpoint.tables import Row
from shards.histograms import CHECKPOINT_BOUNDS, observe
from shards.progress import TrackProgress, untracked
from shards.settings.settings import Settings

_MAX_UNSAVED_CLOSED = 100_000
"""Closed backlogs whose rows are still to be deleted; above that, all rows are replaced."""


class Checkpointer:
    """Restores a correlator's backlogs, checkpoints them, and saves them at the end."""

    def __init__(
        self,
        correlator: Correlator,
        directives: Mapping[int, Directive],
        progress: ShardProgress,
        settings: Settings,
        options: Options,
        *,
        first_start: bool,
        sync_lines: SyncLines = nothing_to_sync,
    ) -> None:
        """`first_start`: restore the backlogs of an earlier run of the service.

        Otherwise restore those of this worker, which died. Restoring also sets `progress`, if the
        worker has saved it in this run. `sync_lines`: reports all lines so far.
        """
        self.stats = CheckpointStats()
        self._correlator = correlator
        self._directives = directives
        self._options = options
        self._progress = progress
        self._sync_lines = sync_lines
        self._settings = settings
        self._interval = settings.checkpoint_interval
        self.ahead: Mapping[int, int] = {}
        """Restored directives that are ahead of the shard in the stream: see StreamPositions."""
        self._first_start = first_start
        self._store = CheckpointStore(checkpoint_path(settings), options.repeat_window)
        self._saved_folder = SavedFolder(settings.log_dir / FOLDER)
        self._unsaved: set[BacklogKey] = set()
        """Backlogs that may differ from their row, besides those that the correlator reports."""
        self._is_whole_due = False
        """Whether the next checkpoint has to write all open backlogs, in place of all rows."""
        self._owned = OwnedDirectives(directives.keys())
        self._obsolete_files: Collection[int] = ()
        """Directives whose saved files are removed once a checkpoint holds their backlogs."""
        self._alarm_files = b""
        """Where the alarm files were at the last checkpoint, as Synced says it."""
        self._due = asyncio.Event()
        """Whether the next checkpoint is to be written at once."""
        self._ending = False
        self._encoder = BacklogEncoder(correlator)
        self._definition_encoder = DefinitionEncoder(correlator)
        self._memory_encoder = MemoryEncoder(correlator.memory)

    def restore(self, track_progress: TrackProgress = untracked) -> None:
        """Restore the backlogs on disk into the correlator; logs and drops what does not fit.

        The first checkpoint is due at once: the next start has to know where the shard began.
        """
        self.request()
        if not (self._settings.reload_backlogs if self._first_start else self._interval):
            return
        if self._settings.source_keeps_events:
            wait_until_readable(self._store, track_progress)
        found = find_checkpoints(self._store, self._settings, self._directives, track_progress)
        restored = restore_shard(
            self._correlator,
            self._directives,
            self._options,
            self._progress,
            found,
            self._saved_folder if self._settings.reload_backlogs else None,
            track_progress,
        )
        if self._settings.source_keeps_events:
            self.ahead = restore_positions(self._progress, found.shards, self._directives)
        self._obsolete_files = restored.files
        self._alarm_files = restored.alarm_files
        self._encoder.hold(restored.held)
        self._unsaved = restored.unsaved
        self._is_whole_due = bool(found.taken_over)  # none of it is in this file
        self._correlator.take_changed()  # all that were restored
        self.stats.position = self._progress.position
        self.stats.processed = self._progress.ledger.deliveries.processed
        self.stats.stream = self._progress.stream
        self.stats.generation = self._progress.generation
        if restored.keys:
            self._due.set()

    def reload(self, directives: Collection[int]) -> None:
        """Note which directives the correlator has after a reload."""
        self._owned.reload(directives)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write checkpoints at the interval while the context is active; restored ones at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_periodically())
            try:
                yield
            finally:
                self._ending = True
                self._due.set()

    def request(self) -> None:
        """Let the next checkpoint be written as soon as the present one is."""
        if self._interval:
            self._due.set()

    async def _write_periodically(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval or None):
                    await self._due.wait()
            if self._ending:
                return
            self._due.clear()
            await self.write_checkpoint()

    async def write_checkpoint(self) -> None:
        """Write changed backlogs in a thread; correlation pauses for some milliseconds at most.

        It holds the effect of all deliveries up to now, and of no later one; it is written once the
        lines that they caused are on the disk. All open backlogs are written if the file was
        removed, replaced or damaged.
        """
        for _ in range(2):  # the first attempt may find out that the file is lost
            if self.stats.trouble and not await asyncio.to_thread(self._open_store):
                self._forget_changes()
                return
            started = time.monotonic()
            synced = self._sync_lines()
            cut = self._begin_cut()
            rows = await cut.encode()
            confirmed = await synced
            all_rows = chain(rows, (cut.shard_row(confirmed.files or self._alarm_files),))
            if await asyncio.to_thread(self._write_rows, all_rows, cut.closed):
                self.stats.position, self.stats.processed = cut.position, cut.processed
                self.stats.synced = confirmed.sync
                self._alarm_files = confirmed.files or self._alarm_files
                self.stats.stream, self.stats.generation = cut.stream, cut.generation
                self.stats.written_at = time.time()
                observe(self.stats.durations, CHECKPOINT_BOUNDS, time.monotonic() - started)
                return

    def _open_store(self) -> bool:
        """Whether the file can be opened; all would be encoded in vain otherwise."""
        try:
            self._store.open()
        except CheckpointError as error:
            self._note_trouble(error)
            return False
        return True

    def _forget_changes(self) -> None:
        """Write all open backlogs next time, so that changes do not pile up meanwhile."""
        self._is_whole_due = True
        self._unsaved = set()
        self._encoder.hold({})  # it replaces all rows
        self._correlator.take_changed()

    def _begin_cut(self) -> Cut:
        """Fix what the next checkpoint is to hold."""
        self._owned.begin()
        keys = list(self._take_unsaved())
        return Cut(
            self._correlator,
            self._encoder,
            self._definition_encoder,
            self._memory_encoder,
            self._progress,
            keys,
            whole=self._is_whole_due,
        )

    def _take_unsaved(self) -> Iterator[BacklogKey]:
        """The keys of unsaved backlogs, each once; they stay unsaved until they are written."""
        if len(self._unsaved) > _MAX_UNSAVED_CLOSED + len(self._correlator):
            self._is_whole_due = True
        if self._is_whole_due:
            self._forget_changes()
            keys = self._correlator.open_keys()
        else:
            keys = chain(self._unsaved, self._correlator.take_changed())
            self._unsaved = set()
        for key in keys:
            if key not in self._unsaved:
                self._unsaved.add(key)
                yield key

    def _write_rows(
        self,
        rows: Iterable[Row],
        closed: Sequence[BacklogKey],
        handed_over: Collection[int] = (),
    ) -> bool:
        """Write one checkpoint; on failure its changes stay unsaved, for the next one."""
        try:
            self._owned.find_old_rows(self._store)
            self._store.save(
                rows,
                closed,
                time.time_ns(),
                reset=self._owned.to_reset(whole=self._is_whole_due),
                confirmed=self._obsolete_files,
                handed_over=handed_over,
                reclaimed=self._owned.reclaimed,
            )
        except CheckpointError as error:
            self._note_trouble(error)
            return False
        if self.stats.trouble:
            logger.info("crash checkpoints are written again")
        self.stats.trouble = ""
        self._encoder.commit(closed)
        self._definition_encoder.commit(closed)
        self._memory_encoder.commit()
        self._unsaved = set()
        self._is_whole_due = False
        self._owned.commit()
        self._remove_obsolete_files()
        return True

    def _note_trouble(self, error: CheckpointError) -> None:
        """Log a new trouble with the checkpoint, and note what it costs."""
        trouble = str(error)
        if trouble != self.stats.trouble:
            logger.error(f"no crash checkpoint, backlogs are kept in memory only: {trouble}")
        self.stats.trouble = trouble
        if isinstance(error, CheckpointLostError):
            self._is_whole_due = True

    def _remove_obsolete_files(self) -> None:
        files, self._obsolete_files = self._obsolete_files, ()
        try:
            self._saved_folder.remove(files)
        except OSError as error:
            logger.error(f"saved backlogs cannot be removed: {error.filename}: {error.strerror}")

    def finish(self, until: float, files: bytes = b"") -> None:
        """Write a last checkpoint, then the saved files, and close the checkpoint.

        `until`: time.monotonic() from which on no file is begun or continued. What is left out then
        is in the checkpoint; other programs do not find it. `files`: see Synced.
        """
        if self._settings.reload_backlogs:
            saved = self._write_final_checkpoint(files)
            handed_over = self._write_saved_files(until)
            if saved and handed_over:
                self._write_rows((), (), handed_over)
        self._store.close()

    def _write_final_checkpoint(self, files: bytes) -> bool:
        if not self._interval:  # then the correlator does not track changes
            self._is_whole_due = True
        for _ in range(2):  # the first attempt may find out that the file is lost
            cut = self._begin_cut()
            shard = cut.shard_row(files or self._alarm_files, ended=True)
            if self._write_rows(chain(cut.encode_lazily(), (shard,)), cut.closed):
                return True
        return False

    def _write_saved_files(self, until: float) -> list[int]:
        """Write the saved files; returns the directives of complete ones."""
        return self._saved_folder.write_open(self._correlator.open_backlogs(), until)
