"""Encodes open backlogs as rows of the checkpoint, and decodes them.

A backlog is one row, its state. The items of a large set are cut into blocks of BLOCK_ITEMS, which
are rows of their own: sets only grow, so a block never changes once it is full. The state holds the
items after the last full block, and `left_out` says how many items are in blocks. So a backlog with
a million event ids costs as much as the event ids that are new.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from engine.alarm import BacklogKey, CustomData, Hit
from engine.correlation.correlator import Correlator
from engine.correlation.snapshot import BacklogSnapshot, BoundValue, HeldItems
from shards.checkpoint.tables import BacklogRow, BlockRow, Row, StaleSet

BLOCK_ITEMS = 128
"""Items of a block; with event ids of 36 characters, three blocks fill a page of the database."""
_DECODERS: dict[str, msgspec.json.Decoder[list[Any]]] = {
    "ids": msgspec.json.Decoder(list[str]),
    "sticky": msgspec.json.Decoder(list[BoundValue]),
    "src_ips": msgspec.json.Decoder(list[str]),
    "dst_ips": msgspec.json.Decoder(list[str]),
    "custom_data": msgspec.json.Decoder(list[CustomData]),
    "pairs": msgspec.json.Decoder(list[tuple[str, int]]),
    "intel_hits": msgspec.json.Decoder(list[Hit]),
    "vulnerabilities": msgspec.json.Decoder(list[Hit]),
}
"""Decoders of blocks by the name of their set, without a stage."""

_decode_state = msgspec.json.Decoder(BacklogSnapshot).decode
_encode = msgspec.json.Encoder().encode


class BacklogEncoder:
    """Encodes backlogs of a correlator; knows which blocks are in the checkpoint already."""

    def __init__(self, correlator: Correlator) -> None:
        self._correlator = correlator
        self._held: dict[BacklogKey, HeldItems] = {}
        """The items in blocks of the checkpoint, of backlogs that have some."""
        self._written: dict[BacklogKey, HeldItems] = {}
        """The same as it is once the rows encoded since the last `commit` are written."""

    def hold(self, held: Mapping[BacklogKey, HeldItems]) -> None:
        """Note blocks that are in the checkpoint; replaces what was noted before."""
        self._held = dict(held)
        self._written = {}

    def commit(self, closed: Iterable[BacklogKey]) -> None:
        """Note that the encoded rows have been written, and the rows of `closed` deleted."""
        self._held |= self._written
        for key in (*closed, *(key for key, held in self._written.items() if not held.numbers)):
            self._held.pop(key, None)
        self._written = {}

    def encode(self, key: BacklogKey) -> Iterator[Row]:
        """The rows of a backlog, to be written in this order; no BacklogRow if it is not open.

        The state is that at the first step of the iterator.
        """
        held = self._held.get(key)
        state = self._correlator.snapshot_of(key, held)
        known = {} if state is None else state.left_out
        if held:
            yield from (StaleSet(*key, name) for name in held.numbers if name not in known)
        if state is None:
            return
        blocks: dict[str, tuple[Any, ...]] = {}
        if _has_blocks(state):
            state, blocks = _cut(state)
        if held or blocks:
            self._written[key] = HeldItems(state.order, state.left_out)
        yield BacklogRow(*key, state.order, _encode(state))
        for name, items in blocks.items():
            first = known.get(name, 0) // BLOCK_ITEMS
            for number in range(len(items) // BLOCK_ITEMS):
                at = number * BLOCK_ITEMS
                yield BlockRow(*key, name, first + number, _encode(items[at : at + BLOCK_ITEMS]))


def _has_blocks(state: BacklogSnapshot) -> bool:
    """Whether a set is large enough for a block; nearly always not."""
    return (  # not by a loop: this is asked for each row
        len(state.ids) >= BLOCK_ITEMS
        or len(state.sticky) >= BLOCK_ITEMS
        or len(state.src_ips) >= BLOCK_ITEMS
        or len(state.dst_ips) >= BLOCK_ITEMS
        or len(state.custom_data) >= BLOCK_ITEMS
        or len(state.pairs) >= BLOCK_ITEMS
        or len(state.intel_hits) >= BLOCK_ITEMS
        or len(state.vulnerabilities) >= BLOCK_ITEMS
        or any(len(ids) >= BLOCK_ITEMS for ids in state.earlier_ids)
        or any(len(ids) >= BLOCK_ITEMS for ids in state.open_ids.values())
        or any(len(sticky) >= BLOCK_ITEMS for sticky in state.open_sticky.values())
    )


def _cut(state: BacklogSnapshot) -> tuple[BacklogSnapshot, dict[str, tuple[Any, ...]]]:
    """The state without the items that fill blocks, and these items by set."""
    sets, left_out = state.sets, dict(state.left_out)
    blocks: dict[str, tuple[Any, ...]] = {}
    for name, items in sets.items():
        if full := len(items) // BLOCK_ITEMS * BLOCK_ITEMS:
            blocks[name], sets[name] = items[:full], items[full:]
            left_out[name] = left_out.get(name, 0) + full
    return state.with_sets(sets, left_out), blocks


def decode_backlog(state: bytes, blocks: Mapping[str, Iterable[bytes]]) -> BacklogSnapshot:
    """The whole snapshot of a backlog, from its state and the blocks of its sets.

    ValueError if either cannot be read, or if blocks are missing.
    """
    snapshot = _decode_state(state)
    if not snapshot.left_out:
        return snapshot
    sets = snapshot.sets
    for name, number in snapshot.left_out.items():
        if name not in sets:
            raise ValueError(f"it has no set {name}")
        decode = _DECODERS[name.partition(".")[0]].decode
        items = tuple(chain.from_iterable(map(decode, blocks.get(name, ()))))[:number]
        if len(items) < number:
            raise ValueError(f"{len(items)} of {number} items of {name} are there")
        sets[name] = items + sets[name]
    return snapshot.with_sets(sets, {})
