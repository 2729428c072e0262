"""Where the directives of a shard are in the stream of events, as the checkpoint says.

A directive follows the position of the shard that had it, so that the number of workers may change.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from shards.checkpoint.shard_table import ShardRow
from shards.placement import shard_of_directive


class StreamPositions(Struct, frozen=True):
    """Positions up to which the checkpoint holds the effect of the events.

    `lowest`: of all directives of a shard, 0 if none has one; `ahead`: directives with a higher
    one. `stream`: the one that the highest is in.
    """

    lowest: int = 0
    stream: str = ""
    ahead: Mapping[int, int] = {}


def find_positions(
    rows: Iterable[ShardRow], directives: Iterable[int], part: int
) -> StreamPositions:
    """The positions of these directives; `part`: the number of the service among its node's.

    Positions only grow. So if several shards had a directive one after the other, the highest of
    their positions is that of what is saved of it.
    """
    positions: dict[int, int] = {}
    by_position = sorted((row for row in rows if row.stream), key=lambda row: row.position)
    by_place = {(row.layout, row.worker): row.position for row in by_position}
    for workers, nodes in {row.layout for row in by_position}:
        for directive in directives:
            node, worker = shard_of_directive(directive, nodes, workers)
            position = by_place.get(((workers, nodes), worker), 0)
            if node == part and position > positions.get(directive, 0):
                positions[directive] = position
    lowest = min(positions.values(), default=0)
    ahead = {directive: at for directive, at in positions.items() if at > lowest}
    return StreamPositions(lowest, by_position[-1].stream if positions else "", ahead)
