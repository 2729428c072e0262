"""Normalized events: decoding, validation, and the routing key.

Valid events are decoded in one step; others take the slower one of event_repair.py.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import astuple
from xxhash import xxh64_intdigest

from engine.address import canonical_event_ip
from engine.errors import InvalidEventError
from engine.event_repair import has_key, repair, wrong_value

MAX_EVENT_BYTES = 1 << 20
"""A longer event is invalid (too_large); the default limit of NATS is the same 1 MiB."""

_STRICT_FIELDS = frozenset({"event_id", "timestamp", "src_ip", "dst_ip"})
"""Fields without which an event means nothing."""
_NEEDED_FIELDS = ("event_id", "timestamp", "sensor", "src_ip", "dst_ip")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Port = Annotated[int, Meta(ge=0, le=65535)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class RoutingKey(Struct, frozen=True, gc=False):
    """The fields of an event that decide which directives can match it."""

    plugin_id: Number = 0
    plugin_sid: Number = 0
    product: str = ""
    category: str = ""
    src_ip: str = ""


class TimedRoutingKey(RoutingKey, frozen=True, gc=False):
    """The routing key with the unchecked timestamp, for replay, whose clock all events advance."""

    timestamp: Any = None


class NormalizedEvent(Struct, gc=False):
    """An event as in JSON: absent is 0 or "". Not to be changed once it is decoded.

    The last two fields are not in the JSON. `time`: that of the timestamp, in seconds since the
    epoch. `identity`: a hash of all the other fields but `rcvd_time` (ns since the epoch), as they
    were sent. Addresses are in canonical form, IPv4-mapped IPv6 as IPv4.
    """

    event_id: str = ""
    timestamp: str = ""
    sensor: str = ""
    src_ip: str = ""
    dst_ip: str = ""
    plugin_id: Number = 0
    plugin_sid: Number = 0
    product: str = ""
    category: str = ""
    subcategory: str = ""
    title: str = ""
    src_port: Port = 0
    dst_port: Port = 0
    protocol: str = ""
    conn_id: Number | str = 0
    custom_data1: str = ""
    custom_label1: str = ""
    custom_data2: str = ""
    custom_label2: str = ""
    custom_data3: str = ""
    custom_label3: str = ""
    rcvd_time: Number = 0
    time: int = field(default=0, name="(time)")
    identity: int = field(default=0, name="(identity)")


K = TypeVar("K", bound=RoutingKey)

# Not strict: Logstash often sends numbers as texts ("80").
_decode_quickly = msgspec.json.Decoder(NormalizedEvent, strict=False).decode
_encode_content = msgspec.msgpack.Encoder().encode


def decode_event(
    raw: bytes, repaired: list[str] | None = None, time: int | None = None
) -> NormalizedEvent:
    """Decode and validate a whole event; InvalidEventError with the first reason.

    `repaired` gets the names of fields that were damaged or could not be used. `time`: seconds
    since the epoch if they are known; else they are those of the timestamp.
    """
    try:
        event = _decode_quickly(raw) if len(raw) <= MAX_EVENT_BYTES else None
    except Exception:  # UnicodeDecodeError and RecursionError are not MsgspecErrors
        event = None
    if event is None or not (
        event.event_id
        and event.timestamp
        and event.sensor
        and event.src_ip
        and event.dst_ip
        and ((event.plugin_id and event.plugin_sid) or (event.product and event.category))
    ):
        event = _repair_event(raw, repaired)
    # Not XXH3: after its vector instructions the processor runs more slowly for a while.
    event.identity = xxh64_intdigest(_encode_content(astuple(event)[:-3]))
    event.time = parse_timestamp(event.timestamp) if time is None else time
    try:
        event.src_ip = canonical_event_ip(event.src_ip)
        event.dst_ip = canonical_event_ip(event.dst_ip)
    except ValueError:
        _address("src_ip", event.src_ip)
        _address("dst_ip", event.dst_ip)
    return event


def parse_timestamp(timestamp: Any) -> int:
    """An ISO 8601 timestamp as whole seconds since the epoch; UTC if it has no offset.

    InvalidEventError if it is not ISO 8601.
    """
    try:
        moment = datetime.fromisoformat(timestamp)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        elapsed = moment - _EPOCH
    except (ValueError, TypeError, OverflowError):
        raise wrong_value("bad_timestamp", "timestamp", timestamp) from None
    return elapsed.days * 86400 + elapsed.seconds


def _address(name: str, value: str) -> str:
    try:
        return canonical_event_ip(value)
    except ValueError:
        raise wrong_value("bad_address", name, value) from None


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError("too_large", f"{len(raw)} bytes, must be at most {MAX_EVENT_BYTES}")


def _repair_event(raw: bytes, repaired: list[str] | None) -> NormalizedEvent:
    """An event that cannot be decoded in one step, as decode_event."""
    _check_size(raw)
    event, fields = repair(raw, NormalizedEvent, _STRICT_FIELDS)
    _check_complete(event, fields)
    if repaired is not None:
        repaired += fields
    return event


def _repair_key(raw: bytes, key_type: type[K]) -> K:
    """The key of an event whose key cannot be decoded in one step."""
    _check_size(raw)
    key, _ = repair(raw, key_type, ("src_ip",))
    if not has_key(key):
        raise _no_key()
    if not key.src_ip:
        raise wrong_value("missing_field", "src_ip", None)
    _address("src_ip", key.src_ip)
    return key


def _check_complete(event: NormalizedEvent, repaired: Collection[str]) -> None:
    """Check that all needed fields are there; a sensor that cannot be used is no loss."""
    for name in _NEEDED_FIELDS:
        if not getattr(event, name) and name not in repaired:
            raise wrong_value("missing_field", name, None)
    if not has_key(event):
        raise _no_key()


def _no_key() -> InvalidEventError:
    detail = "plugin_id and plugin_sid are absent, and so are product and category: one is needed"
    return InvalidEventError("missing_field", detail, "plugin_id")


def _make_key_decoder(key_type: type[K]) -> Callable[[bytes], K]:
    """A function from an event to its key; one step for most keys."""
    decode_quickly = msgspec.json.Decoder(key_type, strict=False).decode

    def decode_key(raw: bytes) -> K:
        if len(raw) <= MAX_EVENT_BYTES:
            try:
                key = decode_quickly(raw)
                canonical_event_ip(key.src_ip)
                if (key.plugin_id and key.plugin_sid) or (key.product and key.category):
                    return key
            except Exception:  # the slow path finds the reason
                pass
        return _repair_key(raw, key_type)

    return decode_key


decode_routing_key = _make_key_decoder(RoutingKey)
"""The routing key of an event; InvalidEventError if it is not JSON or the key is invalid."""
decode_timed_routing_key = _make_key_decoder(TimedRoutingKey)
"""As decode_routing_key, with the timestamp, which is not validated."""
