"""NormalizedEvent: one security event, decoded and checked; and the small key of it that routes.

Bytes go in; a frozen event or InvalidEvent with its reason comes out. What is common is decoded
in one step; nulls, and whatever is wrong, take a second, slower look.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from engine.address import canonical_ip
from engine.errors import InvalidEventError

MAX_EVENT_BYTES = 1 << 20
"""A longer event is invalid (too_large); NATS's own default limit is the same 1 MiB."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Port = Annotated[int, Meta(ge=0, le=65535)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class RoutingKey(Struct, frozen=True, gc=False):
    """What the router decodes of an event: enough to know which directives it can concern."""

    plugin_id: Number = 0
    plugin_sid: Number = 0
    product: str = ""
    category: str = ""
    src_ip: str = ""


class TimedRoutingKey(RoutingKey, frozen=True, gc=False):
    """The key, and the timestamp as it stands: for replay, whose clock all events drive."""

    timestamp: Any = None


class _Wire(Struct, gc=False):
    """An event as it stands in JSON; whether it is valid is not said yet."""

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
    """A valid event. `time` in whole seconds since the epoch, `rcvd_time` in ns; absent is 0 or "".

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

# Not strict: a whole number may come as text ("80"), as Logstash often sends it.
_wire_decoder = msgspec.json.Decoder(_Wire, strict=False)
_key_decoder = msgspec.json.Decoder(RoutingKey, strict=False)
_quick_key = _key_decoder.decode
_timed_key_decoder = msgspec.json.Decoder(TimedRoutingKey, strict=False)


def decode_routing_key(raw: bytes) -> RoutingKey:
    """The routing key of an event; InvalidEvent when it is not JSON or its key is not valid."""
    if len(raw) <= MAX_EVENT_BYTES:  # in one step what most keys are
        try:
            key = _quick_key(raw)
            canonical_ip(key.src_ip)
            if key.plugin_id and key.plugin_sid:
                return key
        except Exception:  # the longer way says what is wrong
            pass
    return _checked_key(_decode(_key_decoder, raw))


def decode_timed_routing_key(raw: bytes) -> TimedRoutingKey:
    """As decode_key, with the timestamp; that one is not checked: the key is valid without."""
    return _decode_key(_timed_key_decoder, raw)


def decode_event(raw: bytes) -> NormalizedEvent:
    """The whole event; InvalidEvent with the first reason why it is none."""
    wire = _decode(_wire_decoder, raw)
    if not raw.isascii():
        _check_utf8(raw)
    _check_fields(wire)
    time = event_time(wire.timestamp)
    try:
        src_ip, dst_ip = canonical_ip(wire.src_ip), canonical_ip(wire.dst_ip)
    except ValueError:
        raise _no_address() from None
    return NormalizedEvent(
        wire.event_id,
        time,
        src_ip,
        dst_ip,
        wire.plugin_id,
        wire.plugin_sid,
        wire.product,
        wire.category,
        wire.subcategory,
        wire.src_port,
        wire.dst_port,
        wire.protocol,
        wire.custom_data1,
        wire.custom_label1,
        wire.custom_data2,
        wire.custom_label2,
        wire.custom_data3,
        wire.custom_label3,
        wire.rcvd_time,
    )


def event_time(timestamp: Any) -> int:
    """An ISO 8601 timestamp as whole seconds since the epoch; UTC when it has no offset."""
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
    except Exception:  # UnicodeDecodeError and RecursionError are no MsgspecError
        return _decode_slowly(decoder.type, raw)


def _decode_slowly(kind: type[T], raw: bytes) -> T:
    """Decode with nulls as absent, or say exactly what is wrong."""
    try:
        present = {name: value for name, value in _members(raw).items() if bytes(value) != b"null"}
        return msgspec.json.decode(msgspec.json.encode(present), type=kind, strict=False)
    except msgspec.ValidationError as error:  # no object, a wrong type, or out of range
        raise InvalidEventError("bad_type", str(error)) from None
    except Exception as error:
        raise InvalidEventError("bad_json", str(error)) from None


def _decode_key(decoder: "msgspec.json.Decoder[K]", raw: bytes) -> K:
    """In one step what most keys are; what is rare, or wrong, takes the longer way."""
    if len(raw) <= MAX_EVENT_BYTES:
        try:
            key = decoder.decode(raw)
            canonical_ip(key.src_ip)
            if key.plugin_id and key.plugin_sid:
                return key
        except Exception:  # the longer way says what is wrong
            pass
    return _checked_key(_decode(decoder, raw))


def _members(raw: bytes) -> dict[str, msgspec.Raw]:
    """The members of an object, undecoded; as ValidationError: it is JSON, but no object."""
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        msgspec.json.decode(raw)
        raise


def _check_utf8(raw: bytes) -> None:
    """Decoding skips unknown fields without a look at their bytes."""
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


def _check_fields(wire: _Wire) -> None:
    if not (wire.event_id and wire.timestamp and wire.sensor and wire.src_ip and wire.dst_ip):
        needed = ("event_id", "timestamp", "sensor", "src_ip", "dst_ip")
        raise _missing(", ".join(name for name in needed if not getattr(wire, name)))
    if not ((wire.plugin_id and wire.plugin_sid) or (wire.product and wire.category)):
        raise _missing("plugin_id and plugin_sid, or product and category")


def _missing(fields: str) -> InvalidEventError:
    return InvalidEventError("missing_field", f"{fields}: absent, null or empty")


def _no_address() -> InvalidEventError:
    return InvalidEventError("bad_address", "src_ip or dst_ip is no IP address")
