"""The requests to JetStream that a source of events needs: about its stream, and its consumer.

The answers are typed here, since nats-py leaves out the server's time.
"""

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field
from nats.aio.client import Client
from nats.errors import NoRespondersError

REQUEST_SECONDS = 5.0
_INACTIVE_NS = 30 * 1_000_000_000
"""Time after which the server removes a consumer that nobody asks for messages."""
_NOT_FOUND = 10059
"""The error code of JetStream for a stream that does not exist."""
T = TypeVar("T")

_WILDCARDS = {"*": r"[^.]+", ">": r".+"}


class JetStreamError(Exception):
    """A request was refused or not answered; the text is for the user."""


class StreamMissingError(JetStreamError):
    """There is no such stream."""


class StreamState(Struct, frozen=True):
    """The sequences of the first and the last message; an empty stream has `first` > `last`."""

    first_seq: int = 0
    last_seq: int = 0
    messages: int = 0


class _StreamConfig(Struct, frozen=True):
    subjects: list[str] = []


class StreamInfo(Struct, frozen=True):
    """What the server says about a stream. `ts`: its time when it answered, if it says so."""

    config: _StreamConfig
    state: StreamState
    created: datetime
    ts: datetime | None = None

    @property
    def time(self) -> float:
        """The server's time at the answer, in seconds since the epoch; 0 if it is not known."""
        return self.ts.timestamp() if self.ts else 0.0

    def has_subject(self, subject: str) -> bool:
        """Whether messages with this subject go into the stream."""
        return any(_matches(pattern, subject) for pattern in self.config.subjects)


class _Delivered(Struct, frozen=True):
    stream_seq: int = 0


class _ConsumerInfo(Struct, frozen=True):
    delivered: _Delivered = field(default_factory=_Delivered)


class _Error(Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Failure(Struct, frozen=True):
    error: _Error | None = None


def _matches(pattern: str, subject: str) -> bool:
    tokens = (_WILDCARDS.get(token) or re.escape(token) for token in pattern.split("."))
    return bool(re.fullmatch(r"\.".join(tokens), subject))


async def stream_info(client: Client, stream: str) -> StreamInfo:
    """Ask for a stream; StreamMissingError, JetStreamError."""
    answer = await _request(client, f"STREAM.INFO.{stream}", {})
    return _decode(answer, StreamInfo)


async def create_stream(
    client: Client, stream: str, subject: str, max_age_seconds: int, max_bytes: int
) -> None:
    """Create a stream in files that drops its oldest messages at its limits; JetStreamError."""
    config = {
        "name": stream,
        "subjects": [subject],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "max_age": max_age_seconds * 1_000_000_000,
        "max_bytes": max_bytes or -1,
        "num_replicas": 1,
    }
    await _request(client, f"STREAM.CREATE.{stream}", config)


async def create_consumer(client: Client, stream: str, name: str, start: int | datetime) -> int:
    """Create a consumer of all messages from a sequence or a time on, without acknowledgements.

    It is gone when nobody has asked it for messages for a while. Returns the sequence before its
    first message. JetStreamError.
    """
    config: dict[str, Any] = {
        "name": name,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _INACTIVE_NS,
    }
    if isinstance(start, datetime):
        when = start.astimezone(UTC).isoformat().replace("+00:00", "Z")
        config |= {"deliver_policy": "by_start_time", "opt_start_time": when}
    else:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": max(1, start)}
    request = {"stream_name": stream, "config": config}
    answer = await _request(client, f"CONSUMER.CREATE.{stream}.{name}", request)
    return _decode(answer, _ConsumerInfo).delivered.stream_seq


async def _request(client: Client, subject: str, body: dict[str, Any]) -> bytes:
    payload = msgspec.json.encode(body) if body else b""
    try:
        message = await client.request(f"$JS.API.{subject}", payload, timeout=REQUEST_SECONDS)
    except NoRespondersError as error:
        raise JetStreamError("the server has no JetStream for this account") from error
    except TimeoutError as error:
        why = "is it permitted?" if client.is_connected else "the connection is lost"
        raise JetStreamError(f"no answer to $JS.API.{subject}: {why}") from error
    failure = _decode(message.data, _Failure).error
    if failure is not None:
        kind = StreamMissingError if failure.err_code == _NOT_FOUND else JetStreamError
        raise kind(failure.description or f"error {failure.err_code}")
    return message.data


def _decode(data: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JetStreamError(f"an answer of JetStream cannot be read: {error}") from error
