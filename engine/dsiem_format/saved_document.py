"""Reading a document of saved alarms: what is absent or null is filled in, faults are told.

May live here: from bytes to SavedAlarm. May not: what an alarm means, and files.
"""

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
"""What is taken for what a peer may leave out."""
_decode = msgspec.json.Decoder(SavedAlarm).decode


class SavedDocument(Struct, frozen=True):
    """The alarms of a document; `faults`: of each item that is none, which it is and why."""

    alarms: tuple[SavedAlarm, ...]
    faults: tuple[str, ...] = ()


def parse_saved_alarms(data: bytes) -> SavedDocument:
    """All alarms of a document; ValueError, which says why, when it is not a list in JSON."""
    try:
        items = msgspec.json.decode(data, type=list[msgspec.Raw])
    except Exception as error:  # UnicodeDecodeError and RecursionError are no MsgspecError
        raise ValueError(str(error)) from None
    alarms, faults = [], []
    for number, raw in enumerate(items, 1):
        try:
            alarms.append(_alarm(raw))
        except Exception as error:
            faults.append(f"item {number}: {error}")
    return SavedDocument(tuple(alarms), tuple(faults))


def _alarm(raw: msgspec.Raw) -> SavedAlarm:
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        return msgspec.convert(_filled(msgspec.json.decode(raw)), SavedAlarm)


def _filled(item: Any) -> Any:
    """An alarm with all that it may leave out."""
    item = _present(item)
    if isinstance(item, dict):
        item = _ALARM | item
        if isinstance(rules := item.get("rules"), list):
            item["rules"] = [_RULE | one if isinstance(one, dict) else one for one in rules]
    return item


def _present(value: Any) -> Any:
    """A value without the members of objects that are null."""
    if isinstance(value, dict):
        return {name: _present(one) for name, one in value.items() if one is not None}
    return list(map(_present, value)) if isinstance(value, list) else value
