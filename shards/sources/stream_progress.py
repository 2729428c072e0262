"""How far a stream has been read: positions, missing messages, and the clock of the stream.

Pure, so that tests need no server.
"""

from collections.abc import Sequence
from typing import Protocol

from shards.positions import base_of, life_of, sequence_of
from shards.sources.jetstream import StreamInfo
from shards.sources.stream_parser import StreamMessages

_CLOCK_MARGIN = 0.1
"""Seconds by which the clock stays behind the server's: a message may be stored meanwhile."""


class StreamSink(Protocol):
    """What takes the events of a stream: the router."""

    start: int
    """The position after which to read; 0 if no shard has one."""
    newest: int
    """The highest position at which a shard begins."""
    counted: int
    """The position up to which routers before this one have counted events and missing messages."""
    stream: str
    """The stream that this one is in."""

    async def begin(self, start: int, now: int, stream: str) -> None:
        """Begin at this position where a shard has none in the stream.

        `now`: 0 if the shards know it. Returns when they have saved where they begin.
        """

    def take(self, events: Sequence[bytes], first: int, last: int, now: int) -> None:
        """Take the events from position `first` on, at the time `now`; all up to `last` is read."""

    def advance_time(self, now: int) -> None:
        """No event before this time will come."""

    async def wait_for_room(self) -> None:
        """Wait until more may be taken."""


class StreamProgress:
    """Passes messages on to a sink once, in order, with their positions."""

    def __init__(self, sink: StreamSink) -> None:
        self._sink = sink
        self._life = 0
        self._now = 0
        self.stream = ""
        """Identifies the stream, also among those that had its name."""
        self.sequence = 0
        """That of the last message read."""
        self.expired = 0
        """Messages that were gone before they could be read for the first time."""

    @property
    def is_begun(self) -> bool:
        """Whether it is known where to read."""
        return bool(self.stream)

    @property
    def position(self) -> int:
        """The position of the last message read."""
        return base_of(self._life) + self.sequence

    def resume(self, name: str, info: StreamInfo) -> str:
        """Find out where to go on in this stream, which may be another one than before.

        Returns what has happened to it, or "". If no shard has a position in a stream of this name,
        nothing is begun.
        """
        if not self.stream:
            self._life = life_of(self._sink.newest)
            if self._sink.stream.rpartition("@")[0] != name:
                return ""
            self.stream = self._sink.stream
            self.sequence = sequence_of(max(self._sink.start, base_of(self._life)))
        if self.stream != _identity(name, info):
            self._begin_life(name, info, 0)
            return "it was made anew, and is read from its beginning"
        if self.sequence > info.state.last_seq:
            self._begin_life(name, info, info.state.last_seq)
            return "its newest messages are gone, and it is read from its present end"
        if gone := self._count_again(info.state.first_seq - 1):
            return f"up to {gone} messages that no checkpoint holds were read and are gone"
        return ""

    def fits(self, name: str, info: StreamInfo) -> bool:
        """Whether this can be the stream that is being read."""
        return self.stream == _identity(name, info) and self.sequence <= info.state.last_seq

    def begin(self, name: str, info: StreamInfo, sequence: int) -> None:
        """Begin after a sequence, without a position of any shard in the stream."""
        self._begin_life(name, info, sequence)

    def _begin_life(self, name: str, info: StreamInfo, sequence: int) -> None:
        self.stream, self.sequence = _identity(name, info), sequence
        self._life += 1

    def take(self, messages: Sequence[StreamMessages]) -> None:
        """Pass on messages; those that were read already are left out."""
        for first, last, time, events in messages:
            skip = self.sequence + 1 - first
            if last <= self.sequence:
                continue
            self._count_missing(first - 1)
            self._now = max(self._now, time)
            self.sequence = last
            new = events[skip:] if skip > 0 else events
            base = base_of(self._life)
            self._sink.take(new, base + first + max(0, skip), base + last, self._now)

    def note_end(self, info: StreamInfo) -> None:
        """Nothing has come since before this answer of the server: follow its time.

        What the stream has lost meanwhile will not come.
        """
        state = info.state
        if state.first_seq > self.sequence + 1:
            self._count_missing(state.first_seq - 1)
            self.sequence = state.first_seq - 1
            self._sink.take((), self.position, self.position, self._now)
        if state.last_seq == self.sequence and info.time:
            self._now = max(self._now, int(info.time - _CLOCK_MARGIN))
            self._sink.advance_time(self._now)

    def _count_missing(self, sequence: int) -> None:
        """The messages after the last one read are missing up to this sequence."""
        missing = max(0, sequence - self.sequence)
        self.expired += missing - self._count_again(sequence)

    def _count_again(self, sequence: int) -> int:
        """How many messages up to a sequence are to be read again, by a router after another."""
        until = min(base_of(self._life) + sequence, self._sink.counted)
        return max(0, until - self.position)


def _identity(name: str, info: StreamInfo) -> str:
    return f"{name}@{info.created.isoformat()}"
