"""Assets, directives and events for the benchmarks, all from a seed.

Events look like Suricata alerts that Dsiem's Logstash plugin has normalized.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import msgspec

PLUGIN_ID = 1001
FIRST_SID = 2_010_000
"""The signature of directive 1; directive N has `FIRST_SID + N - 1`."""
UNKNOWN_SID = 1_000_000
"""This signature and the 499 after it match no directive."""
STAY_AT_STAGE_2 = (1, 1_000_000, 1_000_000)
"""Occurrences of the stages of a directive whose backlogs never finish stage 2."""
_EVENTS_PER_SECOND = 1000
_START = 1_709_542_800_000
"""Reception time of the first event in milliseconds; each next event comes 1 ms later."""
_TITLES = (
    "ET SCAN Potential SSH Scan OUTBOUND",
    "ET POLICY Suspicious inbound to mySQL port 3306",
    "ET WEB_SERVER Possible SQL Injection Attempt SELECT FROM",
    "ET EXPLOIT Possible ETERNALBLUE MS17-010 Echo Response",
    "ET DROP Dshield Block Listed Source group 1",
)
_CATEGORIES = (
    "Attempted Information Leak",
    "Potentially Bad Traffic",
    "Web Application Attack",
    "Attempted Administrator Privilege Gain",
)
AddressPair = tuple[str, str]
"""src_ip and dst_ip."""


def assets() -> bytes:
    """An assets document: three home networks, forty named hosts and a whitelisted scanner."""
    networks = [("lan", "10.0.0.0/8", 2), ("dmz", "172.16.0.0/12", 3), ("lab", "192.168.0.0/16", 1)]
    hosts = [(f"server-{number}", f"10.0.1.{number}", 4) for number in range(1, 41)]
    entries: list[dict[str, Any]] = [
        {"name": name, "cidr": cidr, "value": value} for name, cidr, value in networks + hosts
    ]
    entries.append({"name": "scanner", "cidr": "10.9.9.9", "value": 1, "whitelisted": True})
    return msgspec.json.encode({"assets": entries})


def directives(
    count: int, occurrences: Sequence[int] = (1, 10, 10_000), tokens: bool = True
) -> bytes:
    """A directives document with one directive per signature, as Dsiem's generator writes it.

    `occurrences`: one number for each stage. `tokens`: names contain SRC_IP and DST_IP.
    """
    documents = [_directive(number, occurrences, tokens) for number in range(1, count + 1)]
    return msgspec.json.encode({"directives": documents})


def _directive(number: int, occurrences: Sequence[int], tokens: bool) -> dict[str, Any]:
    title = f"{_TITLES[number % len(_TITLES)]} [{number}]"
    stages = range(1, len(occurrences) + 1)
    return {
        "id": number,
        "name": f"{title} (SRC_IP to DST_IP)" if tokens else title,
        "kingdom": "Reconnaissance & Probing",
        "category": _CATEGORIES[number % len(_CATEGORIES)],
        "priority": 3,
        "rules": [_rule(title, number, stage, occurrences[stage - 1]) for stage in stages],
    }


def _rule(title: str, number: int, stage: int, occurrence: int) -> dict[str, Any]:
    return {
        "name": title,
        "type": "PluginRule",
        "stage": stage,
        "occurrence": occurrence,
        "plugin_id": PLUGIN_ID,
        "plugin_sid": [FIRST_SID + number - 1],
        "from": ":1" if stage > 1 else "ANY",
        "to": ":1" if stage > 1 else "HOME_NET",
        "port_from": "ANY",
        "port_to": "ANY",
        "protocol": "TCP/IP",
        "reliability": (1, 5, 10)[min(stage, 3) - 1],
        "timeout": (0, 3600, 21_600)[min(stage, 3) - 1],
    }


def address_pairs(count: int, first: int = 0) -> list[AddressPair]:
    """`count` pairs: each src_ip is public and unique; dst_ip is one of 256 home hosts."""
    base = int(IPv4Address("100.0.0.0")) + first
    return [
        (str(IPv4Address(base + number)), f"10.0.{number // 64 % 4}.{number % 64 + 1}")
        for number in range(count)
    ]


@cache
def _timestamp(second: int) -> str:
    """The time `second` seconds after the start, six hours behind UTC, as Suricata writes it."""
    moment = datetime(2024, 3, 4, 3, tzinfo=UTC) + timedelta(seconds=second)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


class EventGenerator:
    """Generates events in sequence; the same seed gives the same events."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._count = 0

    def event(self, sid: int, pair: AddressPair, **more: Any) -> bytes:
        """One event of about 560 bytes and 18 fields; `more` adds or replaces fields."""
        self._count += 1
        second, millis = divmod(self._count, _EVENTS_PER_SECOND)
        pick = self.random.random
        record = {
            "event_id": str(UUID(int=self.random.getrandbits(128), version=4)),
            "timestamp": f"{_timestamp(second)}.{millis:03}{int(pick() * 1000):03}-0600",
            "title": _TITLES[sid % len(_TITLES)],
            "sensor": "suricata-1",
            "product": "Network Intrusion Detection System",
            "category": _CATEGORIES[sid % len(_CATEGORIES)],
            "subcategory": "Allowed",
            "src_ip": pair[0],
            "dst_ip": pair[1],
            "src_port": 32_768 + int(pick() * 28_000),
            "dst_port": (22, 80, 443, 445, 3306)[int(pick() * 5)],
            "protocol": "TCP",
            "conn_id": int(pick() * 2**50),
            "plugin_id": PLUGIN_ID,
            "plugin_sid": sid,
            "rcvd_time": (_START + self._count) * 1_000_000,
            "src_index_pattern": "suricata-*",
            "host": "collector-1.example.org",
        }
        return msgspec.json.encode(record | more)

    def random_events(
        self, count: int, pairs: Sequence[AddressPair], sids: Sequence[int]
    ) -> list[bytes]:
        """`count` events, each with a random pair and a random signature of these."""
        choice = self.random.choice
        return [self.event(choice(sids), choice(pairs)) for _ in range(count)]

    def one_per_pair(self, pairs: Sequence[AddressPair], sid: int = FIRST_SID) -> list[bytes]:
        """One event for each pair."""
        return [self.event(sid, pair) for pair in pairs]

    def stream(self, count: int, share: float) -> Iterator[bytes]:
        """`count` events of 400 pairs. `share` of them match, each pair one of four directives."""
        pairs = address_pairs(400)
        pick = self.random.random
        for _ in range(count):
            number = int(pick() * 400)
            matching = pick() < share
            sid = FIRST_SID + number % 4 if matching else UNKNOWN_SID + int(pick() * 500)
            yield self.event(sid, pairs[number])


class CurrentEventGenerator(EventGenerator):
    """Generates events with the current time, so that a service does not treat them as expired.

    Their timestamps end in Z, and their protocol is that of the rules: Dsiem accepts no other
    offset, and dsiem-rs compares the protocol.
    """

    def event(self, sid: int, pair: AddressPair, **more: Any) -> bytes:
        """One event, as EventGenerator makes it, with a timestamp of now."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return super().event(sid, pair, **{"timestamp": now, "protocol": "TCP/IP"} | more)


def matching_events(events: Sequence[bytes]) -> list[bytes]:
    """Those of generated events that match a directive; each becomes one alarm event."""
    return [event for event in events if b'"plugin_sid":20' in event]
