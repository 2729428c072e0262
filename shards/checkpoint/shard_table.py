"""The table of shards: up to which position each has processed its deliveries, and its counts."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

_SHARD = (
    "worker, run, position, counts, workers, nodes, stream, files, ended, generation, clock, at"
)
REPLACE_SHARDS = f"REPLACE INTO shard ({_SHARD}) VALUES {{}}"
_LOAD_SHARD = f"SELECT {_SHARD} FROM shard WHERE worker = ? AND run = ?"
_LOAD_SHARDS = f"SELECT {_SHARD} FROM shard ORDER BY at, worker"
OLDEST_CLOCK = """
(SELECT min(clock) FROM shard WHERE nodes = (SELECT nodes FROM shard ORDER BY at DESC LIMIT 1))
"""
"""The lowest clock of all shards, but of those from before another number of services."""
_DELETE_SHARD = "DELETE FROM shard WHERE workers = ? AND nodes = ? AND worker = ?"


class ShardRow(NamedTuple):
    """What a shard has processed: up to which position in a run of the service, and its counts.

    `workers`, `nodes`: number of workers, and of services of the node name. `stream`: what the
    position belongs to; "": to this run. `files`: FilePositions in MessagePack, before which all
    lines are that the backlogs rest on. `ended`: by an orderly stop. `generation`: number of the
    configuration in that run, 0 if it is not known. `clock`: that of the shard, in seconds since
    the epoch, 0 if it is not known; in a stream it may be far behind. `at`: when it was written, in
    ns since the epoch, set by `write_rows`.
    """

    worker: int
    run: str
    position: int
    counts: bytes
    workers: int = 1
    nodes: int = 1
    stream: str = ""
    files: bytes = b""
    ended: bool = False
    generation: int = 0
    clock: int = 0
    at: int = 0

    @property
    def layout(self) -> tuple[int, int]:
        """Number of workers and of nodes, which decide where a directive is."""
        return self.workers, self.nodes

    def is_before(self, other: "ShardRow") -> bool:
        """Whether the other row is further; never so in both directions.

        Positions tell that if they are of the same stream, otherwise the time does.
        """
        if self.stream and self.stream == other.stream:
            return (self.position, self.at) < (other.position, other.at)
        return self.at < other.at


def load_shard(connection: sqlite3.Connection, worker: int, run: str) -> ShardRow | None:
    """What a shard has saved in this run of the service, if it has."""
    row = connection.execute(_LOAD_SHARD, (worker, run)).fetchone()
    return ShardRow(*row) if row else None


def load_shards(connection: sqlite3.Connection) -> list[ShardRow]:
    """All shards of all runs and layouts, the one written last at the end."""
    return [ShardRow(*row) for row in connection.execute(_LOAD_SHARDS)]


def delete_shards(connection: sqlite3.Connection, rows: Iterable[ShardRow]) -> None:
    """Delete the rows of these shards."""
    keys = [(row.workers, row.nodes, row.worker) for row in rows]
    connection.executemany(_DELETE_SHARD, keys)
