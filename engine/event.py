"""Normalized events: decoding, validation, and the routing key.

Valid events are decoded in one step; nulls and invalid events take a second, slower step.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from engine.address import canonical_ip
from engine.errors import InvalidEventError

MAX_EVENT_BYTES = 1 << 20
"""A longer event is invalid (too_large); the default limit of NATS is the same 1 MiB."""

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
            canonical_ip(key.src_ip)
            if key.plugin_id and key.plugin_sid:
                return key
        except Exception:  # the slow path finds the reason
            pass
    return _checked_key(_decode(_key_decoder, raw))


def decode_timed_routing_key(raw: bytes) -> TimedRoutingKey:
    """As decode_routing_key, with the timestamp, which is not validated."""
    return _checked_key(_decode(_timed_key_decoder, raw))


def decode_event(raw: bytes, time: int | None = None) -> NormalizedEvent:
    """Decode and validate a whole event; InvalidEventError with the first reason.

    `time`: seconds since the epoch if they are known; else they are those of the timestamp.
    """
    raw_event = _decode(_raw_event_decoder, raw)
    if not raw.isascii():
        _check_utf8(raw)
    _check_fields(raw_event)
    if time is None:
        time = parse_timestamp(raw_event.timestamp)
    try:
        src_ip, dst_ip = canonical_ip(raw_event.src_ip), canonical_ip(raw_event.dst_ip)
    except ValueError:
        raise _no_address() from None
    return NormalizedEvent(
        raw_event.event_id,
        time,
        src_ip,
        dst_ip,
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
        raise InvalidEventError("bad_timestamp", "timestamp is not ISO 8601") from None
    return elapsed.days * 86400 + elapsed.seconds


def _decode(decoder: "msgspec.json.Decoder[T]", raw: bytes) -> T:
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidEventError("too_large", f"{len(raw)} bytes, must be at most {MAX_EVENT_BYTES}")
    try:
        return decoder.decode(raw)
    except Exception:  # UnicodeDecodeError and RecursionError are not MsgspecErrors
        return _decode_slowly(decoder.type, raw)


def _decode_slowly(kind: type[T], raw: bytes) -> T:
    """Decode with nulls as absent; InvalidEventError with the exact reason."""
    try:
        present = {name: value for name, value in _members(raw).items() if bytes(value) != b"null"}
        return msgspec.json.decode(msgspec.json.encode(present), type=kind, strict=False)
    except msgspec.ValidationError as error:  # not an object, a wrong type, or out of range
        raise InvalidEventError("bad_type", str(error)) from None
    except Exception as error:
        raise InvalidEventError("bad_json", str(error)) from None


def _members(raw: bytes) -> dict[str, msgspec.Raw]:
    """The undecoded members of an object; ValidationError if it is JSON but not an object."""
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        msgspec.json.decode(raw)
        raise


def _check_utf8(raw: bytes) -> None:
    """Check the bytes of unknown fields, which the decoder skips."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidEventError("bad_json", str(error)) from None


def _checked_key(key: K) -> K:
    if not ((key.plugin_id and key.plugin_sid) or (key.product and key.category)):
        raise _missing("plugin_id and plugin_sid, or product and category")
    if not key.src_ip:
        raise _missing("src_ip")
    try:
        canonical_ip(key.src_ip)
    except ValueError:
        raise _no_address() from None
    return key


def _check_fields(raw_event: _RawEvent) -> None:
    if not (
        raw_event.event_id
        and raw_event.timestamp
        and raw_event.sensor
        and raw_event.src_ip
        and raw_event.dst_ip
    ):
        needed = ("event_id", "timestamp", "sensor", "src_ip", "dst_ip")
        raise _missing(", ".join(name for name in needed if not getattr(raw_event, name)))
    if not (
        (raw_event.plugin_id and raw_event.plugin_sid) or (raw_event.product and raw_event.category)
    ):
        raise _missing("plugin_id and plugin_sid, or product and category")


def _missing(fields: str) -> InvalidEventError:
    return InvalidEventError("missing_field", f"{fields}: absent, null or empty")


def _no_address() -> InvalidEventError:
    return InvalidEventError("bad_address", "src_ip or dst_ip is no IP address")
