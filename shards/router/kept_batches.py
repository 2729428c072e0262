"""Batches that a router keeps, as they were written, until a checkpoint holds their effect."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class KeptBatch(NamedTuple):
    """A batch to be written again: positions of its first and last event, their number; frame.

    One without events, at the position where the shard is then, begins its generation.
    """

    first: int
    last: int
    events: int
    frame: bytes
    generation: int = 1

    def is_held(self, position: int, generation: int) -> bool:
        """Whether a checkpoint at this position, and of this generation, holds its effect."""
        if self.last == position and not self.events:
            return self.generation <= generation
        return self.last <= position


class KeptBatches:
    """Batches in the order of their positions; the newest may exceed the limit."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of frames; 0 to keep nothing."""
        self._limit = limit
        self._batches: deque[KeptBatch] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._batches)

    def __iter__(self) -> Iterator[KeptBatch]:
        return iter(tuple(self._batches))

    def add(self, batch: KeptBatch) -> None:
        """Keep a batch."""
        if self._limit:
            self._batches.append(batch)
            self._bytes += len(batch.frame)

    def forget(self, position: int, generation: int) -> None:
        """Keep no batches whose effect a checkpoint at this position holds."""
        while self._batches and self._batches[0].is_held(position, generation):
            self._bytes -= len(self._batches.popleft().frame)

    @property
    def first(self) -> int | None:
        """The position of the first event that is kept."""
        return self._batches[0].first if self._batches else None

    @property
    def is_full(self) -> bool:
        """Whether no more should be added."""
        return bool(self._limit) and self._bytes >= self._limit

    @property
    def is_half_full(self) -> bool:
        """Whether a checkpoint should be written soon."""
        return self._bytes > self._limit // 2
