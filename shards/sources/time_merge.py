"""Merging recordings by the time of their events; each one is sorted by itself."""

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator
from operator import itemgetter

from shards.sources.recorded_event import RecordedEvent

TimedEvent = tuple[int, RecordedEvent]
"""An event with its time, or with that of the event before it if it has none."""
_BEFORE_ALL_EVENTS = -(2**62)


def merge_by_time(recordings: Iterable[Iterable[RecordedEvent]]) -> Iterator[RecordedEvent]:
    """Merge recordings; of equal times the earlier recording comes first.

    An event without a time keeps its place after the event before it.
    """
    for _, event in merge_timed(map(timed, recordings)):
        yield event


def merge_timed(recordings: Iterable[Iterable[TimedEvent]]) -> Iterator[TimedEvent]:
    """As merge_by_time, for events with their times."""
    return heapq.merge(*recordings, key=itemgetter(0))


def timed(events: Iterable[RecordedEvent]) -> Iterator[TimedEvent]:
    """Each event with its time."""
    time = _BEFORE_ALL_EVENTS
    for event in events:
        if event.time is not None:
            time = event.time
        yield time, event


def reopened_after_first(
    open_events: Callable[[], Generator[RecordedEvent, None, None]],
) -> Iterator[RecordedEvent]:
    """The events of a file that is closed between its first event and the others.

    Merging begins with the first event of each file. So a file is open from the time of its first
    event on, and a thousand files of a day each need the memory and descriptors of a few.
    """
    events = open_events()
    first = next(events, None)
    events.close()
    if first is not None:
        yield first
        events = open_events()
        next(events)
        yield from events
