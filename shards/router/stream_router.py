"""Routes the events of a stream, whose positions and times are those of the stream."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from shards.router.router import Router
from shards.router.routing_table import RoutingTable
from shards.router.start import ShardStart
from shards.router.stream_queue import StreamQueue

_POLL_SECONDS = 0.005


class StreamRouter:
    """What a source with a stream passes its events to."""

    def __init__(
        self,
        router: Router,
        queues: Sequence[StreamQueue],
        shards: Sequence[ShardStart],
        counted: int,
        report: Callable[[], None],
    ) -> None:
        """`counted`: the position up to which routers before this one have counted the events.

        `report`: lets the supervisor know how far the stream is read.
        """
        self._router = router
        self._queues = queues
        self._report = report
        self.counted = counted
        positions = [shard.position for shard in shards if shard.position]
        if positions and counted:
            positions.append(counted)  # the shards may have got what was not counted
        self.start = min(positions, default=0)
        """The position from which to read, so that nothing is missing; 0 if no shard has one."""
        self.newest, self.stream, _ = max(shards, default=ShardStart())
        """The highest position at which a shard begins, and the stream that it is in."""
        self._coming: deque[tuple[int, RoutingTable]] = deque()
        """Tables to be used after a position that has not been read yet, in their order."""

    async def begin(self, start: int, now: int, stream: str) -> None:
        """Begin after the start of each shard, or after this one where it has none in the stream.

        `now`: 0 if the shards know it. Returns when they have saved the position, and the name of
        the stream with it: the next service may find nothing else that says where to begin.
        And the supervisor knows it, before there are events for the next router to count.
        """
        for queue in self._queues:
            queue.begin(start, now, stream)
        self._reach(max(self._router.read, start))
        while not all(queue.has_saved_start for queue in self._queues):
            await asyncio.sleep(_POLL_SECONDS)
        self._report()

    @property
    def newest_position(self) -> int:
        """The position up to which events have been read, by this router or one before it."""
        coming = self._coming[-1][0] if self._coming else 0
        return max(self._router.read, self.counted, coming)

    def use_after(self, table: RoutingTable, after: int) -> None:
        """Route the events after a position by this table; it is not before `newest_position`."""
        self._coming.append((after, table))
        self._reach(self._router.read)

    def _reach(self, position: int) -> None:
        """All events up to this position have been routed."""
        self._router.read = position
        while self._coming and self._coming[0][0] <= position:
            self._router.use(self._coming.popleft()[1])

    def take(self, events: Sequence[bytes], first: int, last: int, now: int) -> None:
        """Route events at the positions from `first` on, all of them at the time `now`.

        `last`: the position up to which the stream has been read then.
        """
        for queue in self._queues:
            queue.set_time(now)
        while self._coming and (after := self._coming[0][0]) < last:
            number = min(max(0, after - first + 1), len(events))
            self._take_part(events[:number], first, after)
            events, first = events[number:], first + number
        self._take_part(events, first, last)

    def _take_part(self, events: Sequence[bytes], first: int, last: int) -> None:
        """As `take`, by one table."""
        again = max(0, min(self.counted - first + 1, len(events)))
        if again:
            self._router.route_again(events[:again], first)
        if again < len(events):
            self._router.route(events[again:], first + again)
        for queue in self._queues:
            queue.reach(last)
        self._reach(last)

    @property
    def saved(self) -> int:
        """The position up to which the checkpoints of all shards hold the effect."""
        return min(queue.held for queue in self._queues)

    def advance_time(self, now: int) -> None:
        """No event before this time will come; in seconds since the epoch."""
        for queue in self._queues:
            queue.set_time(now)

    async def wait_for_room(self) -> None:
        """Wait until all send queues have room."""
        while not all(queue.has_room for queue in self._queues):
            await asyncio.sleep(_POLL_SECONDS)
