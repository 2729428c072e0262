"""Alarm records and alarm events: the lines of the two output files, as data."""

from binascii import b2a_base64
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from xxhash import xxh64_intdigest

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
MAX_ITEMS = 1000
"""Largest number of addresses of a side, of pairs of custom data, of pairs of address and port, and
of hits of a kind; further ones are only counted. Otherwise the lines of an alarm would grow with
everything that somebody sends."""
UNSPECIFIED_ADDRESSES = ("0.0.0.0", "::")
"""Addresses that stand for an unknown address; they are never looked up."""
LookupKind = Literal["intel", "vuln"]
"""intel: threat intelligence about an address; vuln: vulnerabilities at a port of an address."""
BacklogKey = tuple[int, str]
"""Directive id and id of the opening event: only one backlog with a key is open at a time."""


class AlarmEvent(Struct, frozen=True, gc=False):
    """A line of siem_alarm_events.json: an event was taken at a stage of an alarm."""

    alarm_id: str
    stage: int
    event_id: str


class CustomData(Struct, frozen=True, gc=False):
    """A custom value of the events taken, with its label, which may be ""."""

    label: str
    content: str


class Hit(Struct, frozen=True, gc=False):
    """A result of a lookup: the provider, the term looked up, and the result text."""

    provider: str
    term: str
    result: str


class RuleRecord(Struct, frozen=True, omit_defaults=True):
    """A rule of a directive, in the field order of the alarm line.

    The fields after `timeout` are written only when they are not empty. `start_time` and `end_time`
    are seconds since the epoch, `timeout` is in seconds.
    """

    name: str
    type: str
    stage: int
    plugin_id: int
    plugin_sid: tuple[int, ...]
    occurrence: int
    from_: str = msgspec.field(name="from")
    to: str
    port_from: str
    port_to: str
    protocol: str
    reliability: int
    timeout: int
    product: tuple[str, ...] = ()
    category: str = ""
    subcategory: tuple[str, ...] = ()
    start_time: int = 0
    end_time: int = 0
    status: str = ""
    sticky_different: str = ""
    custom_data1: str = ""
    custom_data2: str = ""
    custom_data3: str = ""
    custom_label1: str = ""
    custom_label2: str = ""
    custom_label3: str = ""
    absent: bool = False


class AlarmRecord(Struct, frozen=True, omit_defaults=True):
    """A line of siem_alarms.json: the whole alarm; times in seconds since the epoch."""

    alarm_id: str
    title: str
    status: str
    tag: str
    kingdom: str
    category: str
    created_time: int
    update_time: int
    risk: int
    risk_class: str
    rules: tuple[RuleRecord, ...]
    src_ips: tuple[str, ...]
    dst_ips: tuple[str, ...]
    networks: tuple[str, ...]
    intel_hits: tuple[Hit, ...] = ()
    vulnerabilities: tuple[Hit, ...] = ()
    custom_data: tuple[CustomData, ...] = ()


class LookupRequest(Struct, frozen=True):
    """All terms to look up for an alarm: addresses, and pairs of address and port."""

    addresses: tuple[str, ...]
    pairs: tuple[tuple[str, int], ...]


class PublishedAlarm(Struct, frozen=True):
    """An alarm to be written; `lookups` if it was published because a stage was finished.

    `key`: the key of its backlog, which may be closed.
    """

    key: BacklogKey
    alarm: AlarmRecord
    lookups: LookupRequest | None = None


def with_hits(alarm: AlarmRecord, kind: LookupKind, hits: Iterable[Hit]) -> tuple[AlarmRecord, int]:
    """The alarm with these hits added, each once, and how many were too many for it.

    The alarm is the same object if no hit was added.
    """
    known = alarm.intel_hits if kind == "intel" else alarm.vulnerabilities
    found = tuple(dict.fromkeys((*known, *hits)))
    most = max(MAX_ITEMS, len(known))
    kept, left = found[:most], max(0, len(found) - most)
    if len(kept) == len(known):
        return alarm, left
    field = "intel_hits" if kind == "intel" else "vulnerabilities"
    return replace(alarm, **{field: kept}), left


def directive_salt(node: str, directive: int) -> int:
    """64 bits that turn the identity of an event into a key of this directive on this node."""
    return xxh64_intdigest(f"{node}\0{directive}\0".encode())


def alarm_id(key: int) -> str:
    """The id of the alarm that an event opens: 9 characters of A-Za-z0-9_-, or 54 bits.

    `key`: the identity of the event XOR the salt of the directive. So the same input always gives
    the same id, and reading events again updates the same alarms.
    """
    return b2a_base64(key.to_bytes(8, "little")).translate(_URL_SAFE)[:9].decode()
