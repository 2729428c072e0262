"""Tells which deliveries are new to a shard, and which of their lines are written already.

After a death a shard gets deliveries again: those that its last checkpoint does not hold, and, when
a router reads a stream again, also some that it has processed.
"""

from collections.abc import Iterator, Mapping

from engine.correlation.correlator import Correlator
from shards.checkpoint.stats import ShardProgress
from shards.ipc.messages import Batch
from shards.positions import life_of
from shards.worker.start import NOTHING_WRITTEN, Written


class Deliveries:
    """The position of a shard among its deliveries; keeps `progress` up to date."""

    def __init__(
        self,
        progress: ShardProgress,
        correlator: Correlator,
        written: Written,
        *,
        has_stream: bool,
    ) -> None:
        """`written`: the lines that are, of the worker before this one."""
        self._progress = progress
        self._correlator = correlator
        self.written = written
        self._has_stream = has_stream
        self._ahead: Mapping[int, int] = {}

    def begin_life(self, life: int) -> None:
        """A router begins to deliver. Without a stream it does not give again what others gave."""
        if not self._has_stream and life_of(self.written.position) != life:
            self.written = NOTHING_WRITTEN

    def put_ahead(self, positions: Mapping[int, int]) -> None:
        """These directives are ahead of the shard, each at its own position."""
        self._ahead = positions
        self._correlator.ahead = positions.keys()

    def new_parts(self, batch: Batch) -> Iterator[Batch]:
        """The parts of a batch that are to be processed one after the other.

        Without what has been processed, and split where the lines that are written end, and where
        a directive is that was ahead.
        """
        if not self._has_stream:
            yield batch
            return
        position = self._progress.position
        if not batch.now:
            self.reach(batch.last)
            self._note_stream(batch.stream)
        if not batch.now or batch.last < position or (batch.last == position and batch.events):
            return
        limits = sorted({self.written.position, *self._ahead.values()})
        for part in batch.after(position).split(limits):
            if part.events:  # a shard does not get every event: its position may be far before
                self._leave_ahead(part.first - 1)
            yield part
            self._note_stream(batch.stream)

    def _note_stream(self, stream: str) -> None:
        """Note the stream, not before the position is one in it: a checkpoint may be due."""
        self._progress.stream = stream or self._progress.stream

    def reach(self, position: int) -> None:
        """All deliveries up to this position have been processed."""
        self._progress.position = max(self._progress.position, position)
        self._leave_ahead(position)

    def _leave_ahead(self, position: int) -> None:
        """The directives that were ahead up to this position are so no more."""
        if self._ahead:
            self.put_ahead({d: at for d, at in self._ahead.items() if at > position})

    def are_written(self, last: int) -> bool:
        """Whether the lines are written that deliveries up to this position cause."""
        return last <= self.written.position

    def is_time_written(self, now: int) -> bool:
        """Whether the lines are written that time alone causes until now."""
        return self._progress.position < self.written.last_event or now <= self.written_clock

    @property
    def written_clock(self) -> int:
        """The time until which they are written after the last written event; 0 for nothing."""
        return self.written.clock if self._progress.position <= self.written.position else 0
