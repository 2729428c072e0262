"""Conditions: ours, compiled by the engine, match what those of OSSIM match."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.asset import AddressInfo
from engine.directives.condition import (
    Condition,
    StageReference,
    compile_address,
    compile_port,
    compile_text,
)
from engine.event import NormalizedEvent
from shards.ossim.conditions import MAX_PORTS, convert_condition
from shards.ossim.references import InexpressibleError
from tests.support.events import make_event

NETWORKS = [
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.1",
    "10.0.0.2",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::1",
]
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.9.9.9", "192.0.2.1", "2001:db8::1", "::1"]
PORTS = ["22", "80", "20-25", "79-81", "443"]
TEXTS = ["admin", "root", "a b"]


def matches(condition: Condition, event: NormalizedEvent) -> bool:
    assert not isinstance(condition, StageReference)
    return condition is None or condition(event, AddressInfo(), AddressInfo())


def lists_of(values: list[str]) -> st.SearchStrategy[str]:
    item = st.tuples(st.sampled_from(["", "!"]), st.sampled_from(values)).map("".join)
    return st.lists(item | st.just("ANY"), min_size=1, max_size=5).map(",".join)


def ossim_matches(text: str, equals: set[str]) -> bool:
    """As OSSIM: one of the plain items, if there are any, and none of those with `!`."""
    items = [item for item in text.split(",") if item != "ANY"]
    plain = {item for item in items if not item.startswith("!")}
    negated = {item[1:] for item in items if item.startswith("!")}
    return bool(not plain or plain & equals) and not negated & equals


def converted(text: str, field: str) -> str:
    """The condition; a list that matches nothing is an error, and no example."""
    try:
        return convert_condition(text, field, 2)
    except InexpressibleError as error:
        assume("matches nothing" not in str(error))
        raise


@given(text=lists_of(NETWORKS), address=st.sampled_from(ADDRESSES))
def test_addresses_match_as_in_ossim(text: str, address: str) -> None:
    equals = {n for n in NETWORKS if ip_address(address) in ip_network(n)}
    condition = compile_address(converted(text, "from"), "src_ip")
    event = make_event("e", 0, src_ip=address)
    assert matches(condition, event) == ossim_matches(text, equals)


@given(text=lists_of(PORTS), port=st.sampled_from([0, 20, 22, 25, 79, 80, 443, 444]))
def test_ports_match_as_in_ossim(text: str, port: int) -> None:
    ranges = {item: (item.split("-")[0], item.split("-")[-1]) for item in PORTS}
    equals = {item for item, (low, high) in ranges.items() if int(low) <= port <= int(high)}
    condition = compile_port(converted(text, "port_to"), "dst_port")
    assert matches(condition, make_event("e", 0, dst_port=port)) == ossim_matches(text, equals)


@given(text=lists_of(TEXTS), value=st.sampled_from(["", "admin", "root", "a b", "b"]))
def test_texts_match_as_in_ossim(text: str, value: str) -> None:
    condition = compile_text(converted(text, "custom_data1"), "custom_data1")
    assert matches(condition, make_event("e", 0, custom_data1=value)) == ossim_matches(
        text, {value}
    )


@pytest.mark.parametrize(
    ("field", "text", "wanted"),
    [
        ("from", "", "ANY"),
        ("from", "ANY", "ANY"),
        ("from", "HOME_NET", "HOME_NET"),
        ("to", " !HOME_NET ", "!HOME_NET"),
        ("to", "ANY,!10.0.0.1", "!10.0.0.1"),
        ("to", "10.0.0.1,10.0.0.1,,", "10.0.0.1"),
        ("to", "10.0.0.0/8,!10.0.0.1", "!10.0.0.1, 10.0.0.0/8, !0.0.0.0/0, !::/0"),
        ("to", "1:DST_IP", ":1"),
        ("port_from", "0", "ANY"),
        ("port_from", "0,80", "ANY"),
        ("port_from", "20-22,!21", "20, 22"),
        ("port_to", "1:DST_PORT", ":1"),
        ("protocol", "6,17,!1", "TCP, UDP"),
        ("protocol", "!ICMP", "!ICMP"),
        ("protocol", "1:PROTOCOL", ":1"),
        ("custom_data1", "http://x/", "http://x/"),
        ("custom_data3", "1:USERDATA3", ":1"),
    ],
)
def test_conditions(field: str, text: str, wanted: str) -> None:
    assert convert_condition(text, field, 2) == wanted


@pytest.mark.parametrize(
    ("field", "text", "code", "message"),
    [
        ("from", "!ANY", "bad-value", "has !ANY"),
        ("from", "HOME_NET,10.0.0.1", "home-net-in-list", "must stand alone"),
        ("from", "Servers", "asset-name", "write its addresses"),
        ("from", "5f5a1ab4-0000-11e2-9b1b-0800200c9a66", "asset-name", "write its addresses"),
        ("from", "10.0.0.1-10.0.0.9", "asset-name", "write its addresses"),
        ("from", "1:SRC_IP,10.0.0.1", "reference-in-list", "a reference in a list"),
        ("from", "1:SRC_IP,2:SRC_IP", "reference-in-list", "a reference in a list"),
        ("port_to", "http", "bad-value", "must be a port or a range"),
        ("port_to", "65536", "bad-value", "must be a port"),
        ("port_to", "1-", "bad-value", "must be a port"),
        ("port_to", "²", "bad-value", "must be a port"),
        ("port_to", "!0", "bad-value", "absent port cannot be excluded"),
        ("port_to", "80,!80", "bad-value", "matches nothing"),
        ("port_to", "1-65535", "too-many-ports", f"more than {MAX_PORTS} ports"),
        ("custom_data1", "EMPTY", "empty-text", "an absent text"),
        ("custom_data1", ":1", "bad-value", "another meaning in our conditions"),
        ("custom_data1", "!!x", "bad-value", "another meaning in our conditions"),
    ],
)
def test_conditions_that_cannot_be_expressed(
    field: str, text: str, code: str, message: str
) -> None:
    with pytest.raises(InexpressibleError, match=message) as raised:
        convert_condition(text, field, 3)
    assert raised.value.code == code


def test_the_ports_of_a_condition_are_bounded() -> None:
    assert convert_condition(f"1-{MAX_PORTS}", "port_to", 1).count(",") == MAX_PORTS - 1
    with pytest.raises(InexpressibleError, match="write fewer"):
        convert_condition(f"1-{MAX_PORTS},9000", "port_to", 1)
