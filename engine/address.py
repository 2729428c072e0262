"""IP addresses and networks: parsed once, compared as packed bytes, found by longest prefix.

IPv4-mapped IPv6 addresses become IPv4 here, so that no other module sees them.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Generic, TypeVar

from radix import Radix

from engine.cache import FunctionCache

V = TypeVar("V")
Network = IPv4Network | IPv6Network

OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
"""A pattern of a number from 0 to 255, without leading zeros."""
_IPV4 = re.compile(rf"(?:{OCTET}\.){{3}}{OCTET}")
"""Matches canonical IPv4 addresses, ten times as fast as parsing them."""
_MAPPED = ip_network("::ffff:0:0/96")
CACHED_ADDRESSES = 16384
"""Size of caches by address: events repeat few addresses many times."""


def _canonical(text: str) -> str:
    if _IPV4.fullmatch(text):
        return text
    address = ip_address(text)
    if address.version == 6:
        if address.scope_id is not None:
            raise ValueError(f"{text!r} has a zone")
        address = address.ipv4_mapped or address
    return str(address)


canonical_ip = FunctionCache(_canonical, CACHED_ADDRESSES).__getitem__
"""The canonical text of an IP address; ValueError if it is not one.

A zone (`fe80::1%eth0`) is refused: it names an interface of the sensor.
"""


def _canonical_of_event(text: str) -> str:
    return _canonical(text.strip().partition("%")[0])


canonical_event_ip = FunctionCache(_canonical_of_event, CACHED_ADDRESSES).__getitem__
"""As canonical_ip, for the address of an event: outer blanks and a zone are cut off."""


def packed_bytes(address: str) -> bytes:
    """The 4 or 16 bytes of a canonical address."""
    if ":" not in address:
        return bytes(map(int, address.split(".")))
    return ip_address(address).packed


def parse_network(text: str) -> tuple[Network, bool]:
    """The network of a CIDR or bare IP, and whether host bits were masked off.

    ValueError if it is neither.
    """
    address, slash, length = text.partition("/")
    if "%" in address or (slash and not (length.isascii() and length.isdigit())):
        raise ValueError(f"{text!r} is no IP or CIDR")  # ipaddress accepts zones and netmasks
    network = ip_network(text, strict=False)
    masked = ip_address(address) != network.network_address
    if network.version == 6 and network.subnet_of(_MAPPED):  # type: ignore[arg-type]
        network = IPv4Network((network.network_address.packed[12:], network.prefixlen - 96))
    return network, masked


def is_host(network: Network) -> bool:
    """Whether a network is a single address (/32 or /128)."""
    return network.prefixlen == network.max_prefixlen


class PrefixMap(Generic[V]):
    """Maps an address to the value of the longest prefix that contains it."""

    def __init__(self, entries: Iterable[tuple[Network, V]]) -> None:
        self._radix = Radix()
        for network, value in entries:
            node = self._radix.add(packed=network.network_address.packed, masklen=network.prefixlen)
            node.data["value"] = value

    def get(self, address: str, default: V) -> V:
        """The value of a canonical address; the default if no prefix contains it."""
        node = self._radix.search_best(packed=packed_bytes(address))
        if node is None:
            return default
        value: V = node.data["value"]
        return value


def merge_covering(
    entries: Iterable[tuple[Network, V]],
) -> list[tuple[Network, list[V]]]:
    """For each distinct network, the values of all entries that contain it, in their order."""
    radix = Radix()
    for order, (network, value) in enumerate(entries):
        node = radix.add(packed=network.network_address.packed, masklen=network.prefixlen)
        node.data.setdefault("network", network)
        node.data.setdefault("values", []).append((order, value))
    return [(node.data["network"], _covering(radix, node.data["network"])) for node in radix]


def _covering(radix: Radix, network: Network) -> list[V]:
    covering = radix.search_covering(
        packed=network.network_address.packed, masklen=network.prefixlen
    )
    ordered = sorted(
        (pair for node in covering for pair in node.data["values"]), key=lambda pair: pair[0]
    )
    return [value for _, value in ordered]
