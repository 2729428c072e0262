"""The memory of shards in the checkpoint: the events taken and the alarms written lately.

Each checkpoint adds rows. All shards read all of them, and keep what is theirs, since directives go
to other shards if the number of workers changes. A directive that is not in the configuration may
come back by a reload: what it has taken is known then, too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from loguru import logger
from msgspec.structs import astuple

from engine.correlation.cool_downs import CoolDown
from engine.correlation.memory import Entry, Memory, RecentKeys, Stamp
from shards.checkpoint.cool_down_table import CoolDownRow
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
        self._saved = dict.fromkeys(KINDS, 0)
        """How many were put until the last `commit`: the checkpoint has them."""
        self._encoded = dict(self._saved)
        """How many were put until the last `encode`."""
        self._saved_cool_downs = self._encoded_cool_downs = 0
        """The same of cool-downs."""

    def encode(self, *, whole: bool) -> Iterator[MemoryRow]:
        """Rows of what was remembered since the last `commit`, or of all; the latest last.

        The entries are those at the call; the rows are made lazily.
        """
        put: dict[str, list[tuple[Any, Stamp]]] = {}
        for kind in KINDS:
            keys: RecentKeys[Any] = getattr(self._memory, kind)
            self._encoded[kind] = keys.puts
            put[kind] = keys.last_put(len(keys) if whole else keys.puts - self._saved[kind])
        return _rows(put)

    def encode_cool_downs(self, *, whole: bool) -> Iterator[CoolDownRow]:
        """As `encode`, of the cool-downs."""
        cool_downs = self._memory.cool_downs
        self._encoded_cool_downs = cool_downs.begun
        number = cool_downs.begun - self._saved_cool_downs
        begun = cool_downs.last_begun(len(cool_downs) if whole else number)
        return (CoolDownRow(*astuple(one)) for one in begun)

    def commit(self) -> None:
        """Note that the encoded rows have been written."""
        self._saved = dict(self._encoded)
        self._saved_cool_downs = self._encoded_cool_downs


def _rows(put: Mapping[str, list[tuple[Any, Stamp]]]) -> Iterator[MemoryRow]:
    for kind, stamped in put.items():
        for at in range(0, len(stamped), _ROW_ENTRIES):
            entries = [(key, *stamp) for key, stamp in stamped[at : at + _ROW_ENTRIES]]
            until = max(time for _, time, _ in entries)
            yield MemoryRow(kind, until, msgspec.msgpack.encode(entries))


def restore_cool_downs(memory: Memory, rows: Iterable[CoolDownRow]) -> None:
    """Restore cool-downs."""
    memory.cool_downs.restore(CoolDown(*row) for row in rows)


def restore_memory(
    memory: Memory, rows: Iterable[tuple[str, bytes]], is_here: Callable[[int], bool]
) -> None:
    """Restore what directives have taken, and the alarms; logs the number of damaged rows.

    `is_here`: whether a directive is of this shard.
    """
    taken: list[Entry[int]] = []
    written: list[Entry[str]] = []
    damaged = 0
    for kind, entries in rows:
        try:
            if kind == "taken":
                taken += [entry for entry in _decode_taken(entries) if is_here(entry[2])]
            else:
                written += _decode_written(entries)
        except ValueError:
            damaged += 1
    memory.taken.restore(taken)
    memory.written.restore(written)
    if damaged:
        logger.bind(rows=damaged).error("the memory of repeats in the checkpoint is damaged")
