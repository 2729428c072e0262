"""Events for tests of correlation, as decode_event makes them from documents."""

from typing import Any

from xxhash import xxh64_intdigest

from engine.alarm import BacklogKey, alarm_id, directive_salt
from engine.event import NormalizedEvent


def make_event(event_id: str, time: int, **fields: Any) -> NormalizedEvent:
    """An event at this time, in seconds since the epoch."""
    given = {"src_ip": "192.0.2.1", "dst_ip": "192.0.2.2"} | fields
    event = NormalizedEvent(event_id, timestamp=str(time), time=time, **given)
    event.identity = xxh64_intdigest(repr(event).encode())
    return event


def backlog_key(directive: int, event: NormalizedEvent, node: str = "") -> BacklogKey:
    """The key of the backlog of this directive that the event opens."""
    return directive, alarm_id(event.identity ^ directive_salt(node, directive))
