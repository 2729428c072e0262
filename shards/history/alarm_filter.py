"""The filter of alarms as a condition in SQL."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from msgspec import Struct

from engine.address import canonical_ip, is_host, packed_bytes, parse_network

MAX_WORDS = 10
_KNOWN_ADDRESSES = 16_384
Network = IPv4Network | IPv6Network
Condition = tuple[str, tuple[Any, ...]]
"""A condition in SQL with its parameters."""


class AlarmFilter(Struct, frozen=True, kw_only=True):
    """Which alarms are wanted; empty fields are no condition.

    `text`: each word of it must be in one of the texts of an alarm, without regard to case.
    `address`: an address or network of either side, `source` one of the sources. `since`, `until`:
    times of the last event.
    """

    text: str = ""
    risks: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    directives: tuple[int, ...] = ()
    address: str = ""
    source: str = ""
    since: float | None = None
    until: float | None = None

    def conditions(self, *, with_risk: bool = True) -> list[Condition]:
        """The conditions of all fields, the cheapest first; ValueError for a wrong address."""
        return list(self._conditions(with_risk))

    def _conditions(self, with_risk: bool) -> Iterator[Condition]:
        risks = self.risks if with_risk else ()
        columns = {"directive": self.directives, "risk_class": risks, "state": self.states}
        yield from (_one_of(column, values) for column, values in columns.items() if values)
        if self.since is not None:
            yield "updated >= ?", (self.since,)
        if self.until is not None:
            yield "updated < ?", (self.until,)
        if self.source:
            yield _address_condition(self.source, ("src",))
        if self.address:
            yield _address_condition(self.address, ("src", "dst"))
        for word in self.text.casefold().split()[:MAX_WORDS]:
            yield "search LIKE ? ESCAPE '\\'", (f"%{_escape_like(word)}%",)


def where(conditions: Sequence[Condition]) -> Condition:
    """All conditions as one, after WHERE."""
    text = " AND ".join(f"({condition})" for condition, _ in conditions) or "true"
    return text, tuple(value for _, values in conditions for value in values)


def _one_of(column: str, values: Sequence[Any]) -> Condition:
    return f"{column} IN ({', '.join('?' * len(values))})", tuple(values)


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _address_condition(text: str, columns: Sequence[str]) -> Condition:
    """An address must be in one of the columns, or one of a network."""
    network = parse_address(text)
    if is_host(network):
        operator, value = "LIKE", f"% {canonical_ip(str(network.network_address))} %"
        return _any_column(columns, f"{{}} {operator} ?", value)
    return _any_column(columns, "in_network({}, ?)", str(network))


def _any_column(columns: Sequence[str], condition: str, value: str) -> Condition:
    return " OR ".join(map(condition.format, columns)), (value,) * len(columns)


def parse_address(text: str) -> Network:
    """An address or network; ValueError says what would be right."""
    try:
        return parse_network(text.strip())[0]
    except ValueError:
        raise ValueError(f"{text!r} is no IP address or network like 10.0.0.0/8") from None


def add_functions(connection: sqlite3.Connection) -> None:
    """Add the function that conditions on networks use."""
    connection.create_function("in_network", 2, _in_network, deterministic=True)


def _in_network(addresses: str, network: str) -> bool:
    """Whether one of the addresses, with blanks between them, is in a network."""
    first, last = _bounds(network)
    length = len(first)
    return any(
        len(packed) == length and first <= packed <= last
        for packed in map(_packed, addresses.split())
    )


@lru_cache(maxsize=8)
def _bounds(network: str) -> tuple[bytes, bytes]:
    """The first and the last address of a network, packed."""
    parsed = parse_address(network)
    return parsed.network_address.packed, parsed.broadcast_address.packed


@lru_cache(maxsize=_KNOWN_ADDRESSES)
def _packed(address: str) -> bytes:
    return packed_bytes(address)
