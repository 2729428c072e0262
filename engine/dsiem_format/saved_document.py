"""Reads a document of saved alarms: absent and null fields get defaults, faults are reported."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine.dsiem_format.saved_alarm import SavedAlarm

_ALARM = {
    **dict.fromkeys(("status", "tag", "kingdom", "category", "risk_class"), ""),
    **dict.fromkeys(("created_time", "update_time", "risk"), 0),
    **dict.fromkeys(("src_ips", "dst_ips", "networks"), ()),
}
_RULE = {
    **dict.fromkeys(("port_from", "port_to", "protocol"), "ANY"),
    **dict.fromkeys(("plugin_id", "timeout"), 0),
    "name": "",
    "plugin_sid": (),
}
"""The defaults of the fields that dsiem-backend may leave out."""
_decode = msgspec.json.Decoder(SavedAlarm).decode


MAX_FAULTS = 1000
"""Items that are no alarms after which the rest of a document is not read."""


class SavedDocument(Struct, frozen=True):
    """The alarms of a document; `faults`: a text for each way in which items are no alarms."""

    alarms: tuple[SavedAlarm, ...]
    faults: tuple[str, ...] = ()


def parse_saved_alarms(data: bytes) -> SavedDocument:
    """All alarms of a document; ValueError with the reason if it is not a JSON list."""
    try:
        items = msgspec.json.decode(data, type=list[msgspec.Raw])
    except Exception as error:  # UnicodeDecodeError and RecursionError are not MsgspecErrors
        raise ValueError(str(error)) from None
    alarms: list[SavedAlarm] = []
    numbers: dict[str, list[int]] = {}
    for number, raw in enumerate(items, 1):
        try:
            alarms.append(_alarm(raw))
        except Exception as error:
            numbers.setdefault(str(error), []).append(number)
            if number - len(alarms) == MAX_FAULTS:
                faults = _describe_faults(numbers)
                return SavedDocument(tuple(alarms), (*faults, f"items after {number} are not read"))
    return SavedDocument(tuple(alarms), _describe_faults(numbers))


def _describe_faults(numbers: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """A text for each error, with the first item that has it, and how many others."""
    return tuple(
        f"item {first}: {error}" + (f" (so have {len(others)} other items)" if others else "")
        for error, (first, *others) in numbers.items()
    )


def _alarm(raw: msgspec.Raw) -> SavedAlarm:
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        return msgspec.convert(_with_defaults(msgspec.json.decode(raw)), SavedAlarm)


def _with_defaults(item: Any) -> Any:
    """An alarm with defaults for its absent fields."""
    item = _without_nulls(item)
    if isinstance(item, dict):
        item = _ALARM | item
        if isinstance(rules := item.get("rules"), list):
            item["rules"] = [_RULE | one if isinstance(one, dict) else one for one in rules]
    return item


def _without_nulls(value: Any) -> Any:
    """A value without the null members of its objects."""
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return list(map(_without_nulls, value)) if isinstance(value, list) else value
