"""Addresses and networks: canonical forms, prefixes, longest match."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.address import (
    PrefixMap,
    canonical_ip,
    is_host,
    merge_covering,
    packed_bytes,
    parse_network,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::", "::"),
        ("0.0.0.0", "0.0.0.0"),
    ],
)
def test_an_address_has_one_canonical_text(text: str, canonical: str) -> None:
    assert canonical_ip(text) == canonical
    assert packed_bytes(canonical) == ip_address(canonical).packed


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "fe80::1%eth0", "1.2.3.4/8", " 1.2.3.4"],
)
def test_what_is_not_an_address_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress words it
        canonical_ip(text)


@given(st.ip_addresses())
def test_every_address_is_stable(address: object) -> None:
    text = canonical_ip(str(address))
    assert canonical_ip(text) == text


@pytest.mark.parametrize(
    ("text", "network", "masked"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", False),
        ("10.0.0.7/8", "10.0.0.0/8", True),
        ("10.0.0.7", "10.0.0.7/32", False),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", False),
        ("2001:db8::1/32", "2001:db8::/32", True),
    ],
)
def test_a_network_is_masked_and_mapped(text: str, network: str, masked: bool) -> None:
    assert parse_network(text) == (ip_network(network), masked)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/255.0.0.0", "10.0.0/8", "a"]
)
def test_what_is_not_a_network_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress words it
        parse_network(text)


def test_hosts_are_single_addresses() -> None:
    texts = ("10.0.0.1/32", "::1/128", "10.0.0.0/31")
    assert [is_host(ip_network(text)) for text in texts] == [True, True, False]


NETWORKS = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 8)).map(
        lambda pair: ip_network((f"10.0.0.{pair[0]}", 24 + pair[1]), strict=False)
    ),
    max_size=8,
    unique=True,
)


@given(NETWORKS, st.integers(0, 255))
def test_the_longest_prefix_decides(networks: list, last: int) -> None:  # type: ignore[type-arg]
    address = ip_address(f"10.0.0.{last}")
    found = PrefixMap((network, network) for network in networks).get(str(address), None)
    containing = [network for network in networks if address in network]
    assert found == max(containing, key=lambda network: network.prefixlen, default=None)


@given(NETWORKS)
def test_covering_values_keep_the_order_of_the_entries(networks: list) -> None:  # type: ignore[type-arg]
    for network, values in merge_covering((network, network) for network in networks):
        assert values == [other for other in networks if network.subnet_of(other)]
