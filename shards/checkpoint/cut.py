"""A consistent cut of a shard: the effect of all deliveries up to a position, and of no later one.

It is fixed at once, and encoded in slices while correlation goes on: a backlog that changes
meanwhile is encoded first, as it was. Its rows are written when the lines that the deliveries have
caused are on the disk.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain, islice

from msgspec.structs import replace

from engine.alarm import BacklogKey
from engine.correlation.correlator import Correlator
from shards.checkpoint.backlog_rows import BacklogEncoder
from shards.checkpoint.definition_rows import DefinitionEncoder
from shards.checkpoint.memory_rows import MemoryEncoder
from shards.checkpoint.shard_table import ShardRow
from shards.checkpoint.stats import ShardProgress
from shards.checkpoint.tables import Row
from shards.ipc.messages import Synced
from shards.ledger import encode_ledger

_SLICE_SECONDS = 0.003
"""Longest time for which encoding backlogs holds up correlation."""

SyncLines = Callable[[], Awaitable[Synced]]
"""Reports all lines so far at the call; to be awaited until they are on the disk."""


async def nothing_to_sync() -> Synced:
    """A SyncLines of a shard whose lines nobody writes."""
    return Synced(0)


class Cut:
    """The rows of a checkpoint, and the closed backlogs whose rows it deletes."""

    def __init__(
        self,
        correlator: Correlator,
        encoder: BacklogEncoder,
        definition_encoder: DefinitionEncoder,
        memory_encoder: MemoryEncoder,
        progress: ShardProgress,
        keys: Iterable[BacklogKey],
        *,
        whole: bool,
    ) -> None:
        """Fix what the checkpoint is to hold: these backlogs, the memory and the progress.

        `whole`: all that is remembered, not only what is new. Closed backlogs are encoded at once,
        since their keys may be used again.
        """
        self.position = progress.position
        self.processed = progress.ledger.deliveries.processed
        self.stream = progress.stream
        self.generation = progress.generation
        self.closed: list[BacklogKey] = []
        self._correlator = correlator
        self._encoder = encoder
        self._definitions = definition_encoder
        self._memory = chain(
            memory_encoder.encode(whole=whole), memory_encoder.encode_cool_downs(whole=whole)
        )
        self._shard = ShardRow(
            worker=progress.worker,
            run=progress.run,
            position=progress.position,
            counts=encode_ledger(replace(progress.ledger, lookups={})),  # they are of a process
            workers=progress.workers,
            nodes=progress.nodes,
            stream=progress.stream,
            generation=progress.generation,
            clock=progress.clock,
        )
        definition_encoder.begin(whole=whole)
        self._rows: list[Row] = []
        """The rows that are encoded."""
        opened: list[BacklogKey] = []
        for key in keys:
            (opened if correlator.is_open(key) else self.closed).append(key)
        for key in self.closed:
            self._rows.extend(encoder.encode(key))
        correlator.activity.begin_cut(opened, self._encode_backlog)

    def shard_row(self, files: bytes, *, ended: bool = False) -> ShardRow:
        """The row of the shard, once its lines are on the disk; `files`: see Synced.

        `ended`: it is the last one of an orderly stop.
        """
        return self._shard._replace(files=files, ended=ended)

    def _encode_backlog(self, key: BacklogKey) -> None:
        """Encode an open backlog, under the definition that its directive has.

        A reload lets all that are still to be encoded be so before a definition changes.
        """
        self._rows.extend(self._rows_of(key))

    def _rows_of(self, key: BacklogKey) -> Iterator[Row]:
        """The rows of a backlog and its definition, as both are at the first step."""
        rows = self._encoder.encode(key)
        first = list(islice(rows, 1))
        yield from (*self._definitions.encode(key[0]), *first)
        yield from rows

    async def encode(self) -> list[Row]:
        """All rows but that of the shard; other tasks run every few milliseconds meanwhile."""
        until = time.perf_counter() + _SLICE_SECONDS
        for row in self._encode_rest():
            self._rows.append(row)
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + _SLICE_SECONDS
        return self._rows

    def encode_lazily(self) -> Iterator[Row]:
        """As `encode`, one by one as they are taken; nothing may change meanwhile."""
        yield from self._rows
        yield from self._encode_rest()

    def _encode_rest(self) -> Iterator[Row]:
        while (key := self._correlator.activity.next_of_cut()) is not None:
            yield from self._rows_of(key)
        yield from self._memory
