"""Which terms of a request are looked up."""

import pytest

from engine.alarm import LookupRequest
from shards.lookups.terms import Term, is_private, requested_terms, should_look_up

REQUEST = LookupRequest(("203.0.113.9",), (("10.0.0.9", 443),))


def test_intel_takes_addresses_and_vuln_takes_pairs() -> None:
    assert requested_terms("intel", REQUEST) == REQUEST.addresses
    assert requested_terms("vuln", REQUEST) == REQUEST.pairs


@pytest.mark.parametrize(
    ("term", "public_only", "with_private"),
    [
        ("203.0.113.9", True, True),
        ("10.0.0.9", False, True),
        ("0.0.0.0", False, False),
        ("::", False, False),
        (("10.0.0.9", 443), True, True),
        (("10.0.0.9", 0), False, False),
        (("0.0.0.0", 443), False, False),
    ],
)
def test_which_terms_are_looked_up(term: Term, public_only: bool, with_private: bool) -> None:
    assert should_look_up(term, private_addresses=False) == public_only
    assert should_look_up(term, private_addresses=True) == with_private


def test_private_networks_end_where_they_should() -> None:
    private = ("172.16.0.0", "172.31.255.255", "169.254.0.1", "fdff::1", "::1", "febf::1")
    public = ("172.15.255.255", "172.32.0.0", "169.253.0.1", "fe00::1", "::2", "fec0::1")
    assert all(map(is_private, private))
    assert not any(map(is_private, public))
