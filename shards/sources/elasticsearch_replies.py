"""The replies of Elasticsearch and OpenSearch, as far as they are used.

Apart from the client, so that either file can be read at one sitting.
"""

import re
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct, field

from shards.errors import PathError
from shards.safe_text import excerpt

T = TypeVar("T")
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""An escape in a JSON text; its group is half of a surrogate pair without the other half."""


class UnreadableReplyError(PathError):
    """A reply is too long, or is not what the server should send; a smaller one may be better."""


class Shards(Struct):
    """How many shards have answered."""

    total: int = 0
    failed: int = 0
    failures: list[Raw] = []


class _Total(Struct):
    value: int


class Hit(Struct):
    """A document; `source` is empty if there is none, `sort` what the next page comes after."""

    index: str = field(name="_index")
    id: str = field(name="_id")
    sort: Raw
    source: Raw = field(name="_source", default=Raw(b""))


class _Hits(Struct):
    hits: list[Hit]
    total: _Total | None = None


class Page(Struct):
    """The reply to a search; `pit_id` is to be used from then on."""

    hits: _Hits
    shards: Shards = field(name="_shards")
    timed_out: bool = False
    pit_id: str = ""


class Count(Struct):
    """The reply to `_count`."""

    count: int
    shards: Shards = field(name="_shards")


class PointInTime(Struct):
    """The reply to opening one: Elasticsearch sends `id`, OpenSearch `pit_id`."""

    id: str = ""
    pit_id: str = ""
    shards: Shards = field(name="_shards", default_factory=Shards)


class _Version(Struct):
    number: str
    distribution: str = ""


class Server(Struct):
    """The reply to `GET /`."""

    version: _Version


class Cause(Struct):
    """Why a request has failed."""

    type: str = ""
    reason: str | None = None


class _Error(Cause):
    root_cause: list[Cause] = []


class _ErrorReply(Struct):
    error: _Error | str


def decode_reply(server: str, body: bytes, type_: type[T]) -> T:
    """A reply of a type; UnreadableReplyError, which names the server, if it is none."""
    try:
        return _decode(body, type_)
    except Exception as error:  # RecursionError is not a MsgspecError
        raise UnreadableReplyError(
            f"{server} does not answer as Elasticsearch or OpenSearch: {error}; its reply begins"
            f" with: {excerpt(body)}"
        ) from error


def _decode(body: bytes, type_: type[T]) -> T:
    """A reply with U+FFFD for halves of surrogate pairs, which documents may have."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.json.decode(_ESCAPE.sub(_without_half, body), type=type_)


def _without_half(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]


def cause_of(body: bytes) -> Cause:
    """The first cause that the body of an error names."""
    try:
        error = msgspec.json.decode(body, type=_ErrorReply).error
    except Exception:  # RecursionError is not a MsgspecError
        return Cause(reason=excerpt(body))
    if isinstance(error, str):
        return Cause(reason=error)
    return error.root_cause[0] if error.root_cause else error
