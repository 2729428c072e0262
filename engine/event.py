"""Normalized events: decoding, validation, and the routing key.

Valid events are decoded in one step; others take the slower one of event_repair.py.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

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


class _RawEvent(Struct, gc=False):
    """The fields of an event in JSON, before validation."""

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


class NormalizedEvent(Struct, frozen=True, gc=False):
    """A valid event; `time` in seconds since the epoch, `rcvd_time` in ns; absent is 0 or "".

    Addresses are in canonical form, IPv4-mapped IPv6 as IPv4.
    """

    event_id: str
    time: int
    src_ip: str
    dst_ip: str
    plugin_id: int = 0
    plugin_sid: int = 0
    product: str = ""
    category: str = ""
    subcategory: str = ""
    src_port: int = 0
    dst_port: int = 0
    protocol: str = ""
    custom_data1: str = ""
    custom_label1: str = ""
    custom_data2: str = ""
    custom_label2: str = ""
    custom_data3: str = ""
    custom_label3: str = ""
    rcvd_time: int = 0


K = TypeVar("K", bound=RoutingKey)
T = TypeVar("T", bound=Struct)

# Not strict: Logstash often sends numbers as texts ("80").
_raw_event_decoder = msgspec.json.Decoder(_RawEvent, strict=False)
_key_decoder = msgspec.json.Decoder(RoutingKey, strict=False)
_quick_key = _key_decoder.decode
_timed_key_decoder = msgspec.json.Decoder(TimedRoutingKey, strict=False)


def decode_routing_key(raw: bytes) -> RoutingKey:
    """The routing key of an event; InvalidEventError if it is not JSON or the key is invalid."""
    if len(raw) <= MAX_EVENT_BYTES:  # one step for most keys
        try:
            key = _quick_key(raw)
            canonical_event_ip(key.src_ip)
            if key.plugin_id and key.plugin_sid:
                return key
        except Exception:  # the slow path finds the reason
            pass
    return _decode_key(_key_decoder, raw)


def decode_timed_routing_key(raw: bytes) -> TimedRoutingKey:
    """As decode_routing_key, with the timestamp, which is not validated."""
    return _decode_key(_timed_key_decoder, raw)


def decode_event(
    raw: bytes, repaired: list[str] | None = None, time: int | None = None
) -> NormalizedEvent:
    """Decode and validate a whole event; InvalidEventError with the first reason.

    `repaired` gets the names of fields that were damaged or could not be used. `time`: seconds
    since the epoch if they are known; else they are those of the timestamp.
    """
    raw_event = _decode(_raw_event_decoder, raw)
    if raw_event is None or not _is_complete(raw_event):
        raw_event, fields = repair(raw, _RawEvent, _STRICT_FIELDS)
        _check_complete(raw_event, fields)
        if repaired is not None:
            repaired += fields
    if time is None:
        time = parse_timestamp(raw_event.timestamp)
    return NormalizedEvent(
        raw_event.event_id,
        time,
        _address("src_ip", raw_event.src_ip),
        _address("dst_ip", raw_event.dst_ip),
        raw_event.plugin_id,
        raw_event.plugin_sid,
        raw_event.product,
        raw_event.category,
        raw_event.subcategory,
        raw_event.src_port,
        raw_event.dst_port,
        raw_event.protocol,
        raw_event.custom_data1,
        raw_event.custom_label1,
        raw_event.custom_data2,
        raw_event.custom_label2,
        raw_event.custom_data3,
        raw_event.custom_label3,
        raw_event.rcvd_time,
    )


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


def _decode(decoder: "msgspec.json.Decoder[T]", raw: bytes) -> T | None:
    """Decode in one step; None if that fails. InvalidEventError for an event that is too large."""
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError("too_large", f"{len(raw)} bytes, must be at most {MAX_EVENT_BYTES}")
    try:
        return decoder.decode(raw)
    except Exception:  # UnicodeDecodeError and RecursionError are not MsgspecErrors
        return None


def _decode_key(decoder: "msgspec.json.Decoder[K]", raw: bytes) -> K:
    key = _decode(decoder, raw)
    if key is None or not (key.src_ip and has_key(key)):
        key, _ = repair(raw, decoder.type, ("src_ip",))
        if not has_key(key):
            raise _no_key()
        if not key.src_ip:
            raise wrong_value("missing_field", "src_ip", None)
    _address("src_ip", key.src_ip)
    return key


def _is_complete(raw_event: _RawEvent) -> bool:
    return bool(
        raw_event.event_id
        and raw_event.timestamp
        and raw_event.sensor
        and raw_event.src_ip
        and raw_event.dst_ip
        and (
            (raw_event.plugin_id and raw_event.plugin_sid)
            or (raw_event.product and raw_event.category)
        )
    )


def _check_complete(raw_event: _RawEvent, repaired: Collection[str]) -> None:
    """Check that all needed fields are there; a sensor that cannot be used is no loss."""
    for name in _NEEDED_FIELDS:
        if not getattr(raw_event, name) and name not in repaired:
            raise wrong_value("missing_field", name, None)
    if not has_key(raw_event):
        raise _no_key()


def _no_key() -> InvalidEventError:
    detail = "plugin_id and plugin_sid are absent, and so are product and category: one is needed"
    return InvalidEventError("missing_field", detail, "plugin_id")
