"""Recognizing recorded events whose clock was wrong, by the events around them.

`serve` compares an event with the wall clock. A recording has only the times of its events: an
event far ahead of those before it is from a wrong clock, or comes after a pause, such as a night.
The events that follow it tell which.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from shards.errors import PathError
from shards.sources.recorded_event import RecordedEvent

_NEIGHBOURS = 200
"""Number of following events that an event is compared with."""
_NEIGHBOURS_IN_SLOW_STREAM = 2
"""The same for the first event of a stream whose writer may take its time."""
_MAX_BYTES = 1 << 24
"""Of the raw events that are read ahead."""
_ENOUGH_NEIGHBOURS = 100
_DAY = 86400
"""Seconds that an event may be ahead of fewer than _ENOUGH_NEIGHBOURS: little evidence."""


def limit_future(
    events: Iterable[RecordedEvent], max_future: int, *, is_slow: bool = False
) -> Iterator[RecordedEvent]:
    """The events; one with a wrong clock gets the time of the clock, and is marked.

    The clock is the highest event time so far. An event that is more than `max_future` seconds
    ahead of it has a wrong clock if it is as much ahead of most of its neighbours: the clock,
    itself, and the events that follow it. If these are fewer than a hundred, in a short recording
    or at its end, it has to be more than a day ahead of them: events may well be out of order by
    minutes. With a `max_future` of 0 there is no limit.

    If the events are read from a stream that `is_slow`, the first one waits only for the next two.
    """
    if not max_future:
        return iter(events)
    neighbours_of_first = _NEIGHBOURS_IN_SLOW_STREAM if is_slow else _NEIGHBOURS
    return _FutureLimit(events, max_future, neighbours_of_first).events()


class _FutureLimit:
    def __init__(
        self, events: Iterable[RecordedEvent], max_future: int, neighbours_of_first: int
    ) -> None:
        self._source = iter(events)
        self._max_future = max_future
        self._neighbours_of_first = neighbours_of_first
        self._ahead: deque[RecordedEvent] = deque()
        """Events that were read to be compared with, and have not been given yet."""
        self._bytes_ahead = 0
        self._failure: PathError | None = None
        """Why no more could be read ahead; raised when its turn comes."""

    def events(self) -> Iterator[RecordedEvent]:
        clock: int | None = None
        ahead, source = self._ahead, self._source
        while (event := self._next_ahead() if ahead else next(source, None)) is not None:
            time = event.time
            if time is not None:
                if clock is None or time > clock + self._max_future:
                    event.time = clock = self._time_by_neighbours(time, clock)
                    event.from_future = clock != time
                elif time > clock:
                    clock = time
            yield event
        if self._failure:
            raise self._failure

    def _next_ahead(self) -> RecordedEvent:
        event = self._ahead.popleft()
        self._bytes_ahead -= len(event.raw)
        return event

    def _time_by_neighbours(self, time: int, clock: int | None) -> int:
        """The time of an event that is ahead of the clock, or the clock if its own is wrong.

        Without a clock, since the event is the first one, the time of the next that is behind it.
        """
        behind_before = time - self._max_future
        neighbours = self._neighbours_of_first if clock is None else _NEIGHBOURS
        ahead, behind = 1, int(clock is not None)
        next_behind = clock
        for following in self._next_times(neighbours):
            if following < behind_before:
                behind += 1
                next_behind = following if next_behind is None else next_behind
            else:
                ahead += 1
            if max(ahead, behind) > neighbours // 2 + 1:
                break
        if next_behind is None:
            return time
        if ahead + behind < _ENOUGH_NEIGHBOURS and time - next_behind <= _DAY:
            return time
        is_last = ahead + behind == 2 and clock is not None
        is_wrong = is_last or behind > ahead
        return next_behind if is_wrong else time

    def _next_times(self, count: int) -> Iterator[int]:
        """The times of the next events, in the order of the recording."""
        for event in islice(self._ahead, count):
            if event.time is not None:
                yield event.time
        while len(self._ahead) < count and self._bytes_ahead < _MAX_BYTES:
            read = self._read_ahead()
            if read is None:
                return
            if read.time is not None:
                yield read.time

    def _read_ahead(self) -> RecordedEvent | None:
        try:
            event = next(self._source, None)
        except PathError as error:
            self._failure = error
            return None
        if event is not None:
            self._ahead.append(event)
            self._bytes_ahead += len(event.raw)
        return event
