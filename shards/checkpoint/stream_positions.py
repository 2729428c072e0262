"""Which shard had a directive last, and where that was in the stream of events.

A directive follows the shard that had it, so that the numbers of workers and services may change.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from shards.checkpoint.shard_table import ShardRow
from shards.placement import shard_of_directive


class SavedShard(NamedTuple):
    """The row of a shard, the number of its service from 0, and the checkpoint that has it."""

    row: ShardRow
    part: int = 0
    path: Path = Path()


class StreamPositions(Struct, frozen=True):
    """Positions up to which the checkpoint holds the effect of the events.

    `lowest`: of all directives of a shard, 0 if none has one; `ahead`: directives with a higher
    one. `stream`: the one that the highest is in.
    """

    lowest: int = 0
    stream: str = ""
    ahead: Mapping[int, int] = {}


def last_owners(
    shards: Iterable[SavedShard], directives: Collection[int]
) -> Iterator[tuple[int, SavedShard]]:
    """Each of the directives that a shard had, with the one that had it last."""
    by_place = {(shard.row.layout, shard.part, shard.row.worker): shard for shard in shards}
    layouts = {layout for layout, _, _ in by_place if min(layout) > 0}
    for directive in directives:
        last: SavedShard | None = None
        for workers, nodes in layouts:
            node, worker = shard_of_directive(directive, nodes, workers)
            shard = by_place.get(((workers, nodes), node, worker))
            if shard and (last is None or last.row.is_before(shard.row)):
                last = shard
        if last is not None:
            yield directive, last


def find_positions(shards: Iterable[SavedShard], directives: Collection[int]) -> StreamPositions:
    """The positions of these directives, of those that have one in a stream.

    Positions only grow. So if several shards had a directive one after the other, the highest of
    their positions is that of what is saved of it.
    """
    rows = {directive: shard.row for directive, shard in last_owners(shards, directives)}
    positions = {d: row.position for d, row in rows.items() if row.stream and row.position}
    if not positions:
        return StreamPositions()
    lowest, highest = min(positions.values()), max(positions, key=positions.__getitem__)
    ahead = {directive: at for directive, at in positions.items() if at > lowest}
    return StreamPositions(lowest, rows[highest].stream, ahead)
