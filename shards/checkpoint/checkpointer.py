"""Keeps the open backlogs of one shard on disk: restores, checkpoints, and saves them at the end.

There are two forms. The checkpoint holds every open backlog completely; changed backlogs are written
to it every few seconds. The saved files, in the format of dsiem-backend, are written at an orderly
stop, so that either program can continue.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import msgspec
from loguru import logger
from msgspec import Struct, field

from engine.alarm import BacklogKey
from engine.correlation.correlator import Correlator
from engine.directives.directive import Directive
from engine.dsiem_format.saved_alarm import SavedAlarm
from engine.options import Options
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.recovery import log_dropped, recover_backlogs
from shards.checkpoint.saved_folder import SavedFolder
from shards.checkpoint.store import BacklogRow, CheckpointStore
from shards.histograms import CHECKPOINT_BOUNDS, Histogram, empty_histogram, observe
from shards.ledger import Ledger
from shards.settings.settings import Settings

FOLDER = "backlogs"
"""Folder of the saved files and the checkpoint, in the log folder."""
_SLICE_SECONDS = 0.003
"""Longest time for which encoding backlogs holds up correlation."""


def checkpoint_path(settings: Settings) -> Path:
    """The checkpoint file of a service; its name differs by node and part, which may share a folder."""
    name = f"checkpoint-{quote(settings.node, safe='')}" if settings.node else "checkpoint"
    if settings.cluster_part:  # part 0 keeps the name that it had as the only one
        name += f".{settings.cluster_part}"
    return settings.log_dir / FOLDER / f"{name}.sqlite"


class CheckpointStats(Struct):
    """Results of the checkpoints of one shard.

    `consumed`: consumed deliveries whose effect is in the last one; `written_at`: its time in seconds
    since the epoch, 0 before the first; `durations`: encoding and writing, since last taken.
    """

    consumed: int = 0
    written_at: float = 0.0
    durations: Histogram = field(default_factory=lambda: empty_histogram(CHECKPOINT_BOUNDS))

    def take_durations(self) -> Histogram:
        """The durations since the last call."""
        durations, self.durations = self.durations, empty_histogram(CHECKPOINT_BOUNDS)
        return durations


class Checkpointer:
    """Restores the backlogs of a shard's correlator, checkpoints them, and saves them at the end."""

    def __init__(
        self,
        correlator: Correlator,
        directives: Mapping[int, Directive],
        ledger: Ledger,
        settings: Settings,
        options: Options,
        *,
        first_start: bool,
    ) -> None:
        """`first_start`: restore the backlogs of an earlier run of the service.

        Otherwise restore those of this worker, which died. Restored backlogs are counted in `ledger`.
        """
        self.stats = CheckpointStats()
        self._correlator = correlator
        self._directives = directives
        self._ledger = ledger
        self._options = options
        self._interval = settings.checkpoint_interval
        self._reload = settings.reload_backlogs
        self._first_start = first_start
        self._store = CheckpointStore(checkpoint_path(settings))
        self._saved_folder = SavedFolder(settings.log_dir / FOLDER)
        self._unsaved: set[BacklogKey] = set()
        """Backlogs that may differ from their row, besides those that the correlator reports."""
        self._initial_rows: set[BacklogKey] = set()
        """Backlogs that had a row at the start."""
        self._reclaimed: Collection[int] = directives.keys()
        """Directives whose mark as handed over to another program the next checkpoint removes."""
        self._obsolete_files: Collection[int] = ()
        """Directives whose saved files are removed once a checkpoint holds their backlogs."""
        self._trouble = ""
        self._ending = asyncio.Event()
        self._encoder = msgspec.json.Encoder()

    def restore(self) -> None:
        """Restore the backlogs on disk into the correlator; logs and drops what does not fit."""
        wanted = self._reload if self._first_start else self._interval > 0
        if not wanted:
            return
        folder = self._saved_folder if self._reload else None
        recovered = recover_backlogs(self._store, folder, self._directives, self._options)
        dropped = self._correlator.restore(recovered.states)
        for backlog in dropped:
            log_dropped(backlog)
        number = len(recovered.states) - len(dropped)
        self._ledger.backlogs["restored"] += number
        self._obsolete_files = recovered.files
        self._initial_rows = recovered.rows
        self._unsaved = recovered.rows | {state.key for state in recovered.states}
        if number:
            logger.bind(backlogs=number, files=len(recovered.files)).info("backlogs restored")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write checkpoints at the interval while the context is active; restored ones at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_periodically())
            try:
                yield
            finally:
                self._ending.set()

    async def _write_periodically(self) -> None:
        if self._unsaved:
            await self.write_checkpoint()
        while not await self._ends_within(self._interval or None):
            await self.write_checkpoint()

    async def _ends_within(self, seconds: int | None) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()

    async def write_checkpoint(self) -> None:
        """Write changed backlogs in a thread; correlation pauses for some milliseconds at a time."""
        consumed, started = self._ledger.deliveries.consumed, time.monotonic()
        rows, closed = await self._encode_changes()
        if await asyncio.to_thread(self._write_rows, rows, closed):
            self.stats.consumed = consumed
            self.stats.written_at = time.time()
            observe(self.stats.durations, CHECKPOINT_BOUNDS, time.monotonic() - started)

    async def _encode_changes(self) -> tuple[list[BacklogRow], list[BacklogKey]]:
        """The rows of unsaved backlogs that are open, and the keys of those that are closed."""
        rows: list[BacklogRow] = []
        closed: list[BacklogKey] = []
        before, self._unsaved = self._unsaved, set()
        until = time.perf_counter() + _SLICE_SECONDS
        for key in chain(before, self._correlator.take_changes()):
            if key in self._unsaved:
                continue
            self._unsaved.add(key)
            if (row := self._encode_row(key)) is None:
                closed.append(key)
            else:
                rows.append(row)
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + _SLICE_SECONDS
        return rows, closed

    def _encode_row(self, key: BacklogKey) -> BacklogRow | None:
        state = self._correlator.state(key)
        return None if state is None else BacklogRow(*key, state.order, self._encoder.encode(state))

    def _write_rows(
        self, rows: list[BacklogRow], closed: list[BacklogKey], handed_over: Collection[int] = ()
    ) -> bool:
        """Write one checkpoint; on failure its changes stay unsaved, for the next one."""
        try:
            self._store.save(
                rows,
                closed,
                time.time_ns(),
                handed_over=handed_over,
                reclaimed=self._reclaimed,
            )
        except CheckpointError as error:
            self._log_trouble(str(error))
            return False
        self._log_trouble("")
        self._unsaved = set()
        self._reclaimed = ()
        self._remove_obsolete_files()
        return True

    def _log_trouble(self, trouble: str) -> None:
        """Log a new trouble with the checkpoint, or its end."""
        if trouble and trouble != self._trouble:
            logger.error(f"no crash checkpoint, backlogs are kept in memory only: {trouble}")
        if self._trouble and not trouble:
            logger.info("crash checkpoints are written again")
        self._trouble = trouble

    def _remove_obsolete_files(self) -> None:
        files, self._obsolete_files = self._obsolete_files, ()
        try:
            self._saved_folder.remove(files)
        except OSError as error:
            logger.error(f"saved backlogs cannot be removed: {error.filename}: {error.strerror}")

    def finish(self) -> None:
        """Write all open backlogs in both forms, and close the checkpoint."""
        if self._reload:
            saved = dict(self._correlator.saved())
            self._write_final_checkpoint(saved if self._write_saved_files(saved) else ())
        self._store.close()

    def _write_saved_files(self, saved: Mapping[int, Sequence[SavedAlarm]]) -> bool:
        """Write the saved files; False if not all of them could be written."""
        self._obsolete_files = [d for d in self._obsolete_files if d not in saved]
        try:
            self._saved_folder.write(saved)
        except OSError as error:
            logger.error(f"backlogs are not saved: {error.filename}: {error.strerror}")
            return False
        return True

    def _write_final_checkpoint(self, handed_over: Collection[int]) -> None:
        keys = self._unsaved | self._initial_rows | set(self._correlator.take_changes())
        if not self._interval:  # then the correlator does not track changes
            keys.update(state.key for state in self._correlator.snapshot())
        rows_by_key = {key: self._encode_row(key) for key in keys}
        rows = [row for row in rows_by_key.values() if row is not None]
        closed = [key for key, row in rows_by_key.items() if row is None]
        self._write_rows(rows, closed, handed_over)
