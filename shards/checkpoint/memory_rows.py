"""The memory of shards in the checkpoint: the events taken and the alarms written lately.

Each checkpoint adds rows. All shards read all of them, and keep what is theirs, since directives go
to other shards if the number of workers changes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from loguru import logger

from engine.correlation.memory import Entry, Memory, RecentKeys
from shards.checkpoint.tables import MemoryRow

KINDS = ("taken", "written")
"""The parts of the memory, by their names in it."""
_ROW_ENTRIES = 2000
"""Entries of a row: encoding them takes less than a millisecond."""

_decode_taken = msgspec.msgpack.Decoder(list[tuple[int, int, int]]).decode
_decode_written = msgspec.msgpack.Decoder(list[tuple[str, int, int]]).decode


class MemoryEncoder:
    """Encodes the memory of a shard as rows, each entry once."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._unsaved: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        """Keys that are not known to be in the checkpoint, besides those that are new."""

    def encode(self, *, whole: bool) -> Iterator[MemoryRow]:
        """Rows of what was remembered since the last `commit`, or of all; the latest last.

        The entries are those at the call; the rows are made lazily.
        """
        taken: dict[str, list[Entry[Any]]] = {}
        for kind in KINDS:
            keys: RecentKeys[Any] = getattr(self._memory, kind)
            new = keys.take_unsaved()
            self._unsaved[kind] = keys.keys() if whole else self._unsaved[kind] + new
            taken[kind] = keys.entries(self._unsaved[kind])  # others were forgotten meanwhile
        return _rows(taken)

    def commit(self) -> None:
        """Note that the encoded rows have been written."""
        self._unsaved = {kind: [] for kind in KINDS}

    def forget_changes(self) -> None:
        """Note that all is to be encoded next time, so that changes do not pile up meanwhile."""
        self.commit()
        for kind in KINDS:
            getattr(self._memory, kind).take_unsaved()


def _rows(taken: Mapping[str, Iterable[Entry[Any]]]) -> Iterator[MemoryRow]:
    for kind, entries in taken.items():
        left = iter(entries)
        while some := list(islice(left, _ROW_ENTRIES)):
            until = max(time for _, time, _ in some)
            yield MemoryRow(kind, until, msgspec.msgpack.encode(some))


def restore_memory(
    memory: Memory, rows: Iterable[tuple[str, bytes]], directives: Collection[int]
) -> None:
    """Restore what these directives have taken, and the alarms; logs the number of damaged rows."""
    taken: list[Entry[int]] = []
    written: list[Entry[str]] = []
    damaged = 0
    for kind, entries in rows:
        try:
            if kind == "taken":
                taken += [entry for entry in _decode_taken(entries) if entry[2] in directives]
            else:
                written += _decode_written(entries)
        except ValueError:
            damaged += 1
    memory.taken.restore(taken)
    memory.written.restore(written)
    if damaged:
        logger.bind(rows=damaged).error("the memory of repeats in the checkpoint is damaged")
