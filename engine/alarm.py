"""The alarm record and the alarm event record: the lines of the two output files, as data."""

from binascii import b2a_base64
from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
UNSPECIFIED_ADDRESSES = ("0.0.0.0", "::")
"""Addresses that stand for none."""
LookupKind = Literal["intel", "vuln"]
"""Of a lookup. intel: what is known of an address; vuln: of a port of an address."""
BacklogKey = tuple[int, str]
"""A directive, and the event that opened a backlog of it: only one such is open at a time."""


class AlarmEvent(Struct, frozen=True, gc=False):
    """A line of siem_alarm_events.json: this event was taken at this stage of this alarm."""

    alarm_id: str
    stage: int
    event_id: str


class CustomData(Struct, frozen=True, gc=False):
    """One custom value of the events taken, with its label, which may be ""."""

    label: str
    content: str


class Hit(Struct, frozen=True, gc=False):
    """What a lookup found: who says it, of which term, and what."""

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


class AlarmRecord(Struct, frozen=True, omit_defaults=True):
    """A line of siem_alarms.json: the whole alarm as it stands; times in epoch seconds."""

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
    """What is to be looked up for an alarm: addresses, and address:port pairs; all of them."""

    addresses: tuple[str, ...]
    pairs: tuple[tuple[str, int], ...]


class PublishedAlarm(Struct, frozen=True):
    """An alarm to be written now; with `due` lookups when it was published for a finished stage.

    `key`: of its backlog, which may be closed.
    """

    key: BacklogKey
    alarm: AlarmRecord
    due: LookupRequest | None = None


def with_hits(alarm: AlarmRecord, kind: LookupKind, hits: Iterable[Hit]) -> AlarmRecord:
    """The alarm with these hits too, each once; the very same if it has them all."""
    known = alarm.intel_hits if kind == "intel" else alarm.vulnerabilities
    found = tuple(dict.fromkeys((*known, *hits)))
    if len(found) == len(known):
        return alarm
    if kind == "intel":
        return replace(alarm, intel_hits=found)
    return replace(alarm, vulnerabilities=found)


def alarm_prefix(node: str, directive: int) -> bytes:
    """What goes into the ids of all alarms of a directive on a node."""
    return f"{node}\0{directive}\0".encode()


def alarm_id(prefix: bytes, event_id: str) -> str:
    """The id of the alarm that this event opens, 9 characters of A-Za-z0-9_-.

    The same input always gives the same id, so reading events again updates the same alarms.
    """
    digest = blake2b(prefix + event_id.encode(), digest_size=7).digest()
    return b2a_base64(digest).translate(_URL_SAFE)[:9].decode()
