"""What is looked up of what is due: which addresses, and which pairs of address and port.

What may live here: that choice. What may not: asking.
"""

from functools import lru_cache
from ipaddress import ip_address

from engine.address import CACHED_ADDRESSES, parse_network
from engine.alarm import UNSPECIFIED_ADDRESSES, LookupRequest
from shards.lookups.plugins.api import LookupKind

Term = str | tuple[str, int]
"""An address for intel, an address with a port for vuln."""

_PRIVATE = tuple(
    parse_network(cidr)[0]
    for cidr in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
        *("fc00::/7", "::1/128", "fe80::/10"),
    )
)


def candidates(kind: LookupKind, due: LookupRequest) -> tuple[Term, ...]:
    """Return what of an alarm concerns sources of a kind."""
    return due.addresses if kind == "intel" else due.pairs


def is_wanted(term: Term, *, private: bool) -> bool:
    """Tell whether to look a term up; `private`: also addresses that mean nothing elsewhere."""
    if isinstance(term, str):
        return term not in UNSPECIFIED_ADDRESSES and (private or not is_private(term))
    return term[0] not in UNSPECIFIED_ADDRESSES and term[1] > 0


@lru_cache(maxsize=CACHED_ADDRESSES)
def is_private(address: str) -> bool:
    """Tell whether a canonical address is one of a network of one's own."""
    parsed = ip_address(address)
    return any(parsed in network for network in _PRIVATE)
