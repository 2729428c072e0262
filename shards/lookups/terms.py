"""Terms: the addresses, or pairs of address and port, that are looked up for an alarm."""

from functools import lru_cache
from ipaddress import ip_address

from engine.address import CACHED_ADDRESSES, parse_network
from engine.alarm import UNSPECIFIED_ADDRESSES, LookupKind, LookupRequest

Term = str | tuple[str, int]
"""An address for a source of intel; an address with a port for a source of vuln."""

_PRIVATE_NETWORKS = tuple(
    parse_network(cidr)[0]
    for cidr in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
        *("fc00::/7", "::1/128", "fe80::/10"),
    )
)


def requested_terms(kind: LookupKind, request: LookupRequest) -> tuple[Term, ...]:
    """Return the terms of a request for sources of a kind."""
    return request.addresses if kind == "intel" else request.pairs


def should_look_up(term: Term, *, private_addresses: bool) -> bool:
    """Return whether a term is looked up.

    Unspecified addresses and port 0 are not. Private addresses are, for intel, only with
    `private_addresses`: they mean nothing outside of their network.
    """
    if isinstance(term, str):
        return term not in UNSPECIFIED_ADDRESSES and (private_addresses or not is_private(term))
    return term[0] not in UNSPECIFIED_ADDRESSES and term[1] > 0


@lru_cache(maxsize=CACHED_ADDRESSES)
def is_private(address: str) -> bool:
    """Return whether a canonical address is in a private, loopback or link-local network."""
    parsed = ip_address(address)
    return any(parsed in network for network in _PRIVATE_NETWORKS)
