"""A recorded event: its raw JSON, its routing key, its time and its place in the recording."""

import msgspec
from msgspec import Raw, Struct, field

from engine.errors import InvalidEventError
from engine.event import TimedRoutingKey, decode_timed_routing_key, parse_timestamp


class RecordedEvent(Struct, gc=False):
    """An event of a file, or a document of an index, which has no line; `file` is its name.

    `key` is None if it cannot be decoded.

    `time`: seconds since the epoch, None if the event has no valid timestamp. `from_future`:
    whether the time was replaced, see limit_future.
    """

    file: str
    raw: bytes
    line: int
    column: int
    key: TimedRoutingKey | None = None
    time: int | None = None
    from_future: bool = False

    @property
    def place(self) -> str:
        """Where the event begins; line and column from 1, in bytes."""
        if not self.line:
            return self.file
        column = f", column {self.column}" if self.column > 1 else ""
        return f"{self.file}, line {self.line}{column}"


def decode_recorded_event(file: str, raw: bytes, line: int, column: int) -> RecordedEvent:
    """The event that a JSON value is, or that an Elasticsearch document has as its `_source`."""
    try:
        key = decode_timed_routing_key(raw)
    except InvalidEventError:
        if (source := _source_of(raw)) is None:
            return RecordedEvent(file, raw, line, column)
        return decode_recorded_event(file, source, line, column)
    try:
        time = parse_timestamp(key.timestamp)
    except InvalidEventError:
        return RecordedEvent(file, raw, line, column, key)
    return RecordedEvent(file, raw, line, column, key, time)


class _Document(Struct):
    source: Raw = field(name="_source")


_documents = msgspec.json.Decoder(_Document)


def _source_of(raw: bytes) -> bytes | None:
    try:
        return bytes(_documents.decode(raw).source)
    except Exception:  # RecursionError is not a MsgspecError
        return None
