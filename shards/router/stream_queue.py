"""The send queue of a worker for events that a stream or a spool holds: nothing is dropped or lost.

Positions and time come with the events. What has not been written can be read again, so a worker
that lacks what is no longer kept lets the router read again from there.
"""

from array import array
from collections.abc import Callable

from shards.ipc.messages import POSITION_CODE, Batch
from shards.positions import life_of
from shards.router.send_queue import SendQueue, WaitingBatch

_DEFAULT_QUEUE = 25_000


class StreamQueue(SendQueue):
    """As SendQueue, but `put` takes every event: the source waits while there is no room."""

    def __init__(
        self, max_queue: int, retain_bytes: int, start: int, read_again: Callable[[], None]
    ) -> None:
        """`start`: the position up to which a checkpoint of the worker holds the effect, or 0.

        `read_again`: called when the worker needs what is no longer kept.
        """
        super().__init__(0, retain_bytes, 0, lambda: self._now)
        self._room_limit = max_queue or _DEFAULT_QUEUE
        self._delay_limit = self._room_limit // 2
        self._read_again = read_again
        self.held = start
        """The position up to which a checkpoint holds the effect, as far as is known."""
        self._released = start
        """The position up to which nothing need be kept."""
        self._stream, self._life = "", 0
        """The stream that is being read, and the life of its positions."""
        self._ticks_when_full = False
        self._forgotten = start
        self._begin(start)

    def _begin(self, start: int) -> None:
        self._start = self._position = self._read = start

    @property
    def start(self) -> int:
        """The position after which events are taken."""
        return self._start

    def begin(self, start: int, now: int, stream: str) -> None:
        """Go on after `start` in a stream, and let the worker save its name.

        If the worker has no position in the stream yet, it saves this one. All events before have
        been put. `now`: 0 if the time is not known.
        """
        if self._batch.events:  # of the stream before
            self._complete_batch()
        if life_of(self._start) < life_of(start):
            self._begin(start)
        self._read = max(self._read, start)
        self._now = max(self._now, now)
        self._stream, self._life = stream, life_of(start)
        self._has_written = False
        self.tick()

    def tick(self) -> None:
        """As in SendQueue, once it has begun."""
        if self._stream:
            super().tick()

    @property
    def has_room(self) -> bool:
        """Whether the source may read more."""
        return self.queued < self._room_limit

    @property
    def full(self) -> bool:
        """As in SendQueue."""
        return not self.has_room

    def set_time(self, now: int) -> None:
        """The time of the events that follow."""
        if now != self._now:
            if self._batch.events:
                self._complete_batch()
            self._now = now

    def put(self, raw: bytes, position: int = 0) -> bool:
        """Add an event, to be written after the next flush; False if it is not after the start."""
        if position <= self._start:
            return False
        positions = self._batch.positions
        if positions is None:
            positions = array(POSITION_CODE)
            self._batch = WaitingBatch([], positions, self._now)
        positions.append(position)
        return super().put(raw)

    def reach(self, position: int) -> None:
        """All events up to this position have been put."""
        self._read = position

    @property
    def has_saved_start(self) -> bool:
        """Whether the worker has saved where it begins; if it cannot save anything, knows it."""
        return self._released >= self._start

    def forget(self, position: int, generation: int = 1, held: int = 0) -> None:
        """As in SendQueue."""
        super().forget(position, generation)
        self.held = max(self.held, held)
        self._released = max(self._released, position)
        self._forgotten = max(self._forgotten, min(position, self._position))

    def _account(self, after: int) -> None:
        if after < self._forgotten:
            self._read_again()

    def _number(self, waiting: WaitingBatch) -> Batch:
        asks = self._kept.is_half_full
        if waiting.positions is None:
            asks = asks or not self.has_saved_start
            # Without events all that was put has been written, unless a generation begins.
            read = max(waiting.after if waiting.begins else self._read, self._position)
            now = waiting.now if waiting.begins else self._now
            stream = self._stream_of(read)
            return Batch(read + 1, read, now, asks, [], b"", stream, self._generation)
        first, last = waiting.positions[0], waiting.positions[-1]
        positions, stream = waiting.positions.tobytes(), self._stream_of(last)
        generation = self._generation
        return Batch(first, last, waiting.now, asks, waiting.events, positions, stream, generation)

    def _stream_of(self, position: int) -> str:
        """The stream that a position is in; "" for one in a stream before."""
        return self._stream if life_of(position) == self._life else ""
