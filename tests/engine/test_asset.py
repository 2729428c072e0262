"""Assets: values, names and networks of addresses."""

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.asset import AddressInfo, Asset, NetworkAssets
from engine.directives.asset_document import parse_assets


def facts_of(address: str, *items: dict[str, Any]) -> AddressInfo:
    document = msgspec.json.encode({"assets": [{"name": "a", "value": 1} | i for i in items]})
    assets, findings = parse_assets(document)
    assert [finding for finding in findings if not finding.warning] == []
    return NetworkAssets(assets).address_info(address)


LAN = {"name": "lan", "cidr": "10.0.0.0/8", "value": 2}
SERVERS = {"name": "servers", "cidr": "10.1.0.0/16", "value": 4}
HOST = {"name": "www", "cidr": "10.1.0.5/32", "value": 3}
SCANNER = {"name": "scanner", "cidr": "10.1.0.9", "value": 5, "whitelisted": True}
ALL = (LAN, SERVERS, HOST, SCANNER)


@pytest.mark.parametrize(
    ("address", "address_info"),
    [
        ("10.1.0.5", AddressInfo(True, False, 4, "www", ("10.0.0.0/8", "10.1.0.0/16"))),
        ("10.1.0.6", AddressInfo(True, False, 4, "", ("10.0.0.0/8", "10.1.0.0/16"))),
        ("10.2.0.6", AddressInfo(True, False, 2, "", ("10.0.0.0/8",))),
        ("10.1.0.9", AddressInfo(True, True, 4, "scanner", ("10.0.0.0/8", "10.1.0.0/16"))),
        ("11.0.0.1", AddressInfo()),
        ("::1", AddressInfo()),
        ("0.0.0.0", AddressInfo()),
    ],
)
def test_address_info(address: str, address_info: AddressInfo) -> None:
    assert facts_of(address, *ALL) == address_info


def test_home_is_what_is_in_an_asset_that_is_not_whitelisted() -> None:
    guests = {"cidr": "10.0.0.0/8", "value": 5, "whitelisted": True}
    assert facts_of("10.0.0.1", guests) == AddressInfo(home=False, whitelisted=True)
    assert facts_of("10.0.0.1", guests, {"cidr": "10.0.0.0/24", "value": 2}) == AddressInfo(
        True, True, 2, "", ("10.0.0.0/24",)
    )


def test_the_value_is_the_highest_not_the_nearest() -> None:
    assert facts_of("10.0.0.1", {"cidr": "10.0.0.0/8", "value": 5}, {"cidr": "10.0.0.1"}).value == 5


def test_equal_networks_are_there_once_in_the_order_of_the_file() -> None:
    networks = ("10.1.0.0/16", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/8", "10.1.0.1")
    found = facts_of("10.1.0.1", *({"cidr": network} for network in networks))
    assert found.networks == ("10.1.0.0/16", "10.0.0.0/8")


def test_of_two_hosts_of_one_address_the_first_gives_the_name() -> None:
    hosts = [{"cidr": "10.0.0.1", "name": name, "value": 1} for name in ("first", "second")]
    assert facts_of("10.0.0.1", *hosts).name == "first"


@pytest.mark.parametrize(
    ("cidr", "inside", "outside"),
    [
        ("0.0.0.0/0", "255.255.255.255", "::"),
        ("::/0", "ffff::1", "1.2.3.4"),
        ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
        ("::ffff:10.0.0.7", "10.0.0.7", "10.0.0.8"),
        ("10.0.0.7/8", "10.255.0.1", "11.0.0.0"),
        ("10.0.0.128/25", "10.0.0.128", "10.0.0.127"),
    ],
)
def test_networks_of_both_families(cidr: str, inside: str, outside: str) -> None:
    assert facts_of(inside, {"cidr": cidr}).home
    assert not facts_of(outside, {"cidr": cidr}).home


some_assets = st.builds(
    lambda bits, length, value, whitelisted: Asset(
        f"{bits}/{length}",
        ip_network((0x0A000000 | bits, length), strict=False),
        value,
        whitelisted,
    ),
    st.integers(0, 15),
    st.integers(24, 32),
    st.integers(1, 5),
    st.booleans(),
)


@given(st.lists(some_assets, max_size=8), st.integers(0, 15))
def test_facts_are_those_of_a_walk_through_all_assets(assets: list[Asset], bits: int) -> None:
    address = ip_address(0x0A000000 | bits)
    around = [asset for asset in assets if address in asset.network]
    home = [asset for asset in around if not asset.whitelisted]
    hosts = [asset.name for asset in around if asset.network.prefixlen == 32]
    wide = [str(asset.network) for asset in home if asset.network.prefixlen < 32]
    assert NetworkAssets(assets).address_info(str(address)) == AddressInfo(
        home=bool(home),
        whitelisted=len(home) < len(around),
        value=max((asset.value for asset in home), default=0),
        name=hosts[0] if hosts else "",
        networks=tuple(dict.fromkeys(wide)),
    )
