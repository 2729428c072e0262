"""The results of checkpoints.

A file of its own: a shard reports them without importing what writes them.
"""

from msgspec import Struct, field

from shards.histograms import CHECKPOINT_BOUNDS, Histogram, empty_histogram


class CheckpointStats(Struct):
    """Results of the checkpoints of one shard.

    `consumed`: consumed deliveries whose effect is in the last one; `written_at`: its time in
    seconds since the epoch, 0 before the first; `trouble`: why the present one cannot be written,
    or ""; `durations`: encoding and writing, since last taken.
    """

    consumed: int = 0
    written_at: float = 0.0
    trouble: str = ""
    durations: Histogram = field(default_factory=lambda: empty_histogram(CHECKPOINT_BOUNDS))

    def take_durations(self) -> Histogram:
        """The durations since the last call."""
        durations, self.durations = self.durations, empty_histogram(CHECKPOINT_BOUNDS)
        return durations
