"""The slow path of decoding: events with nulls, odd values or damaged texts.

Nothing that no rule looks at loses an event: a value that cannot be used counts as absent, and a
damaged text keeps the replacement character U+FFFD where it is damaged.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from engine.errors import InvalidEventError, InvalidReason

_SHOWN_CHARACTERS = 64
"""Characters of a value in a message."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

T = TypeVar("T", bound=Struct)


class _Number(str):
    """A number of a JSON document as it stands there."""

    __slots__ = ()


def repair(raw: bytes, type_: type[T], strict: Collection[str]) -> tuple[T, list[str]]:
    """Decode an event whose plain decoding fails; returns it, and the names of repaired fields.

    Names of fields are read in any capitals. Texts may be numbers or booleans, which are taken as
    their JSON text. A field in `strict` that cannot be used is an InvalidEventError, and so is one
    of the plugin or the taxonomy if neither is whole; another one counts as absent. Null is absent,
    which is no repair.
    """
    values: dict[str, Any] = {}
    repaired: list[str] = []
    wrong_key: InvalidEventError | None = None
    for name, value in _members(raw).items():
        field_type = _field_types(type_).get(name)
        if value is None or field_type is None:
            continue
        try:
            values[name], is_as_sent = _convert(value, field_type)
        except ValueError:
            if name in strict:
                raise wrong_value("bad_type", name, value) from None
            if name in _KEY_FIELDS:
                wrong_key = wrong_key or wrong_value("bad_type", name, value)
            is_as_sent = False
        if not is_as_sent:
            repaired.append(name)
    event = type_(**values)
    if wrong_key and not has_key(event):
        raise wrong_key
    return event, repaired


def has_key(event: Any) -> bool:
    """Whether the plugin or the taxonomy of an event is whole."""
    return bool((event.plugin_id and event.plugin_sid) or (event.product and event.category))


def _members(raw: bytes) -> Mapping[str, Any]:
    """The members of an object, numbers as _Number; of names that differ in capitals, one."""
    try:
        value = json.loads(
            raw.decode(errors="replace"),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidEventError("bad_json", _describe_json_error(error)) from None
    if not isinstance(value, dict):
        raise InvalidEventError("bad_type", f"it is {_describe(value)}, must be an object")
    if all(map(str.islower, value)):
        return value
    return {name.lower(): one for name, one in value.items()} | {
        name: one for name, one in value.items() if name.islower()
    }


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON value")


def _describe_json_error(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _convert(value: Any, field_type: Any) -> tuple[Any, bool]:
    """A value as this type, and whether it is as it was sent; ValueError if it cannot be used."""
    if field_type is Any:
        return value, True
    if field_type is not str:
        if isinstance(value, str) and not value.strip():  # a blank number is absent
            return 0, True
        number = _convert_number(value, field_type)
        if not isinstance(number, str):
            return number, True
    if isinstance(value, bool):
        return ("true" if value else "false"), False
    if isinstance(value, _Number):
        return str(value), False
    if not isinstance(value, str):
        raise ValueError
    whole = _without_halves(value)
    return whole, REPLACEMENT not in whole


def _convert_number(value: Any, field_type: Any) -> Any:
    """A value as this type, not only a text; the value itself if it is to be a text."""
    if isinstance(value, _Number):  # as it stands, a field for numbers and texts would keep it
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(value.encode(), type=field_type, strict=False)
    return msgspec.convert(value, field_type, strict=False)


def _without_halves(text: str) -> str:
    """A text with U+FFFD for halves of surrogate pairs."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _field_types(type_: type[Struct]) -> Mapping[str, Any]:
    types = _FIELD_TYPES.get(type_)
    if types is None:
        fields = msgspec.structs.fields(type_)
        sent = [field for field in fields if field.encode_name == field.name]
        types = _FIELD_TYPES[type_] = {field.name: field.type for field in sent}
    return types


_FIELD_TYPES: dict[type[Struct], Mapping[str, Any]] = {}


_KEY_FIELDS = frozenset({"plugin_id", "plugin_sid", "product", "category"})

_EXPECTED = {
    "event_id": "a text that is not empty",
    "timestamp": "a time in ISO 8601, such as 2026-03-01T08:00:00Z",
    "sensor": "a text that is not empty",
    "src_ip": "an IP address",
    "dst_ip": "an IP address",
    "plugin_id": "a whole number above 0",
    "plugin_sid": "a whole number above 0",
    "product": "a text that is not empty",
    "category": "a text that is not empty",
}
"""What the needed fields must be, in words."""


def wrong_value(reason: InvalidReason, name: str, value: Any) -> InvalidEventError:
    """The error for a needed field: what it holds, and what would be right."""
    hint = " (an unresolved Logstash field?)" if str(value).startswith("%{") else ""
    detail = f"{name} is {_describe(value)}, must be {_EXPECTED[name]}{hint}"
    return InvalidEventError(reason, detail, name)


def _describe(value: Any) -> str:
    """A value for a message, shortened."""
    if value is None or value == "":
        return "absent"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    shown = str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…"
