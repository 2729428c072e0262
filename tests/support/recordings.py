"""Recorded events for tests of shards/sources/: as objects, as JSON, and by their times."""

import json
from collections.abc import Iterable, Iterator

from shards.sources.recorded_event import RecordedEvent, decode_recorded_event
from tests.support.replaying import LOGIN, Json, event


def recorded(seconds: float | None, name: str = "file", line: int = 1) -> RecordedEvent:
    """An event so many seconds after the start, or one without a valid time."""
    return decode_recorded_event(name, as_json(seconds), line, 1)


def as_json(seconds: float | None) -> bytes:
    fields: Json = event("a", seconds or 0, LOGIN)
    if seconds is None:
        fields["timestamp"] = "never"
    return json.dumps(fields).encode()


def recording(*seconds: float | None, name: str = "file") -> Iterator[RecordedEvent]:
    """Events at these times, with line numbers."""
    for line, time in enumerate(seconds, 1):
        yield recorded(time, name, line)


def seconds_of(events: Iterable[RecordedEvent]) -> list[int | None]:
    """The times of events, in seconds after the start."""
    return [None if one.time is None else one.time - START_TIME for one in events]


START_TIME: int = recorded(0).time or 0
