"""A shard's open backlogs on disk: taken up at the start, kept while it runs, left at the end.

There are two forms of them. The crash checkpoint (checkpoint.py) has all of every backlog; what
changed goes into it every few seconds. The saved files (saved.py) are written at an orderly stop
for whoever comes next, this program or a peer. What may live here: which of the two counts, and
when what is written. What may not: either form, and correlation.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from loguru import logger

from engine.alarm import BacklogKey
from engine.dsiem_format.saved_alarm import SavedAlarm
from engine.options import Options
from shards.checkpoint.database_file import CheckpointError
from shards.checkpoint.recovery import log_dropped, recover_backlogs
from shards.checkpoint.saved_folder import SavedFolder
from shards.checkpoint.store import BacklogRow, CheckpointStore
from shards.settings.settings import Settings

if TYPE_CHECKING:
    from shards.worker.shard import Shard

FOLDER = "backlogs"
"""Of the saved files and the checkpoint, in the log folder."""
_SLICE_SECONDS = 0.003
"""Correlation waits so long at a time while backlogs are encoded."""


def checkpoint_path(settings: Settings) -> Path:
    """The crash checkpoint of a service; other nodes, and parts of one, may share the folder."""
    name = f"checkpoint-{quote(settings.node, safe='')}" if settings.node else "checkpoint"
    if settings.cluster_part:  # the first keeps the name that it had alone
        name += f".{settings.cluster_part}"
    return settings.log_dir / FOLDER / f"{name}.sqlite"


class Checkpointer:
    """Keeps the backlogs of one shard."""

    def __init__(
        self, shard: "Shard", settings: Settings, options: Options, *, first: bool
    ) -> None:
        """`first`: this shard goes on with what was there before the service started."""
        self._shard = shard
        self._options = options
        self._interval = settings.checkpoint_interval
        self._outlives = settings.reload_backlogs
        self._first = first
        self._checkpoint = CheckpointStore(checkpoint_path(settings))
        self._folder = SavedFolder(settings.log_dir / FOLDER)
        self._unsaved: set[BacklogKey] = set()
        """Backlogs that the checkpoint may have otherwise, besides those that change."""
        self._known: set[BacklogKey] = set()
        """Those that it had at the start."""
        self._taken_back: Collection[int] = shard.directives
        """Directives that may be marked as handed over to another program, and are no more."""
        self._files: Collection[int] = ()
        """Directives with saved files, which can go once the checkpoint holds what they did."""
        self._trouble = ""
        self._ending = asyncio.Event()
        self._encoder = msgspec.json.Encoder()

    def restore(self) -> None:
        """Take up what there is: of its own after a death, of anybody's at the first start."""
        wanted = self._outlives if self._first else self._interval > 0
        if not wanted:
            return
        shard = self._shard
        folder = self._folder if self._outlives else None
        found = recover_backlogs(self._checkpoint, folder, shard.directives, self._options)
        dropped = shard.correlator.restore(found.states)
        for one in dropped:
            log_dropped(one)
        number = len(found.states) - len(dropped)
        shard.restored(number)
        self._files = found.files
        self._known = found.rows
        self._unsaved = found.rows | {state.key for state in found.states}
        if number:
            logger.bind(backlogs=number, files=len(found.files)).info("backlogs restored")

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Write a checkpoint every so many seconds meanwhile; of what was restored, at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep())
            try:
                yield
            finally:
                self._ending.set()

    async def _keep(self) -> None:
        if self._unsaved:
            await self.save()
        while not await self._ends_within(self._interval or None):
            await self.save()

    async def _ends_within(self, seconds: int | None) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()

    async def save(self) -> None:
        """Write a checkpoint, in a thread; correlation goes on, but for some ms at a time."""
        consumed, started = self._shard.consumed, time.monotonic()
        rows, closed = await self._encoded()
        if await asyncio.to_thread(self._written, rows, closed):
            self._shard.saved = consumed
            self._shard.checkpointed(time.monotonic() - started)

    async def _encoded(self) -> tuple[list[BacklogRow], list[BacklogKey]]:
        """The rows of unsaved backlogs that are open now, and the keys of the others."""
        rows: list[BacklogRow] = []
        closed: list[BacklogKey] = []
        before, self._unsaved = self._unsaved, set()
        until = time.perf_counter() + _SLICE_SECONDS
        for key in chain(before, self._shard.correlator.take_changes()):
            if key in self._unsaved:
                continue
            self._unsaved.add(key)
            if (row := self._row(key)) is None:
                closed.append(key)
            else:
                rows.append(row)
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + _SLICE_SECONDS
        return rows, closed

    def _row(self, key: BacklogKey) -> BacklogRow | None:
        state = self._shard.correlator.state(key)
        return None if state is None else BacklogRow(*key, state.order, self._encoder.encode(state))

    def _written(
        self, rows: list[BacklogRow], closed: list[BacklogKey], handed_over: Collection[int] = ()
    ) -> bool:
        """Write these; what cannot be written now is written the next time."""
        try:
            self._checkpoint.save(
                rows,
                closed,
                time.time_ns(),
                handed_over=handed_over,
                taken_back=self._taken_back,
            )
        except CheckpointError as error:
            self._say(str(error))
            return False
        self._say("")
        self._unsaved = set()
        self._taken_back = ()
        self._remove_files()
        return True

    def _say(self, trouble: str) -> None:
        """Log what is wrong with the checkpoint, unless it was already, or that it is over."""
        if trouble and trouble != self._trouble:
            logger.error(f"no crash checkpoint, backlogs are kept in memory only: {trouble}")
        if self._trouble and not trouble:
            logger.info("crash checkpoints are written again")
        self._trouble = trouble

    def _remove_files(self) -> None:
        """Let go of the saved files that were taken up: what they held is safe elsewhere."""
        files, self._files = self._files, ()
        try:
            self._folder.remove(files)
        except OSError as error:
            logger.error(f"saved backlogs cannot be removed: {error.filename}: {error.strerror}")

    def finish(self) -> None:
        """Leave all open backlogs to whoever comes next, in both forms."""
        if self._outlives:
            saved = dict(self._shard.correlator.saved())
            self._finish_checkpoint(saved if self._left(saved) else ())
        self._checkpoint.close()

    def _left(self, saved: Mapping[int, Sequence[SavedAlarm]]) -> bool:
        """Write the saved files; whether all of them are there."""
        self._files = [directive for directive in self._files if directive not in saved]
        try:
            self._folder.write(saved)
        except OSError as error:
            logger.error(f"backlogs are not saved: {error.filename}: {error.strerror}")
            return False
        return True

    def _finish_checkpoint(self, handed_over: Collection[int]) -> None:
        correlator = self._shard.correlator
        keys = self._unsaved | self._known | set(correlator.take_changes())
        if not self._interval:  # then no changes were noted
            keys.update(state.key for state in correlator.snapshot())
        states = {key: self._row(key) for key in keys}
        rows = [row for row in states.values() if row is not None]
        closed = [key for key, row in states.items() if row is None]
        self._written(rows, closed, handed_over)
