"""The progress of a shard, and the results of its checkpoints.

A file of its own: a shard reports them without importing what writes them.
"""

from msgspec import Struct, field

from shards.histograms import CHECKPOINT_BOUNDS, Histogram, empty_histogram
from shards.ledger import Ledger


class ShardProgress(Struct):
    """How far a shard is.

    `run`: identifies the run of the service. `position`: that of the last delivery processed;
    positions of a router begin above those of the routers before it. `ledger`: the counts.
    `stream`: the stream that the position is in; "": it belongs to this run. `workers`, `nodes`:
    number of workers, and of services of the node name.
    `generation`: number of the configuration in this run. `clock`: that of the shard, in seconds
    since the epoch, 0 before the first delivery.
    """

    worker: int = 0
    run: str = ""
    position: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    stream: str = ""
    workers: int = 1
    nodes: int = 1
    generation: int = 0
    clock: int = 0


class CheckpointStats(Struct):
    """Results of the checkpoints of one shard.

    `position`: that of the last delivery whose effect is in the last one; `processed`: the number
    of deliveries processed by then; `stream`: the one that the position is in; `generation`: that
    of the shard then; `synced`: the number of the report whose lines it rests on; `written_at`: its
    time in seconds since the epoch, 0 before the first; `trouble`: why the present one cannot be
    written, or ""; `durations`: encoding and writing, since last taken.
    """

    position: int = 0
    processed: int = 0
    stream: str = ""
    generation: int = 0
    synced: int = 0
    written_at: float = 0.0
    trouble: str = ""
    durations: Histogram = field(default_factory=lambda: empty_histogram(CHECKPOINT_BOUNDS))

    def take_durations(self) -> Histogram:
        """The durations since the last call."""
        durations, self.durations = self.durations, empty_histogram(CHECKPOINT_BOUNDS)
        return durations
