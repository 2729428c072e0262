"""Conditions by themselves: which values of an event match. Faulty ones: test_validation.py."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.asset import AddressInfo
from engine.directives.condition import (
    Condition,
    ConditionError,
    StageReference,
    compile_address,
    compile_port,
    compile_text,
)
from tests.support.events import make_event

HOME, OUTSIDE = AddressInfo(home=True), AddressInfo()


def matches(condition: Condition, **of: Any) -> bool:
    """Whether an event with these values matches, ANY being no condition."""
    assert not isinstance(condition, StageReference)
    event = make_event("e", 0, **of)
    return condition is None or condition(event, OUTSIDE, OUTSIDE)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["11.0.0.0", "::1", "0.0.0.0"]),
        ("10.0.0.1", ["10.0.0.1"], ["10.0.0.2"]),
        ("!10.0.0.1", ["10.0.0.2", "::1"], ["10.0.0.1"]),
        ("10.0.0.1,10.0.0.2", ["10.0.0.1", "10.0.0.2"], ["10.0.0.3"]),
        ("10.0.0.1 , ,\t10.0.0.2,", ["10.0.0.1", "10.0.0.2"], ["10.0.0.3"]),
        ("10.0.0.0/8, !10.0.0.1", ["10.0.0.1", "10.0.0.2", "11.0.0.1"], []),
        ("!10.0.0.1, 10.0.0.0/8", ["10.0.0.2", "11.0.0.1"], ["10.0.0.1"]),
        ("!10.0.0.0/8 !11.0.0.0/8", ["12.0.0.1"], ["10.0.0.1", "11.0.0.1"]),
        ("10.0.0.7/8", ["10.9.9.9"], ["11.0.0.1"]),
        ("::1", ["::1"], ["::2", "0.0.0.1"]),
        ("!::/0", ["1.2.3.4"], ["::1"]),
        ("0.0.0.0/0", ["1.2.3.4"], ["::1"]),
        ("::ffff:10.0.0.0/104", ["10.1.1.1"], ["11.0.0.1"]),
    ],
)
@pytest.mark.parametrize("field", ["src_ip", "dst_ip"])
def test_addresses(text: str, inside: list[str], outside: list[str], field: str) -> None:
    condition = compile_address(text, field)
    assert all(matches(condition, **{field: address}) for address in inside)
    assert not any(matches(condition, **{field: address}) for address in outside)


def test_home_net_is_asked_of_the_right_side() -> None:
    event = make_event("e", 0)
    for text, wanted in {"HOME_NET": True, "!HOME_NET": False, " HOME_NET ": True}.items():
        of_src, of_dst = compile_address(text, "src_ip"), compile_address(text, "dst_ip")
        assert callable(of_src)
        assert callable(of_dst)
        for src, dst in ((HOME, OUTSIDE), (OUTSIDE, HOME)):
            assert of_src(event, src, dst) == (src.home == wanted)
            assert of_dst(event, src, dst) == (dst.home == wanted)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("80", [80], [0, 81]),
        ("!80", [0, 81], [80]),
        ("80,443 8080", [80, 443, 8080], [0, 81]),
        (" 80 ,, !443 ", [80, 81, 0], [443]),
        ("80, !80", [80, 81, 0], []),
        ("!80, 80", [81, 0], [80]),
        ("1,65535", [1, 65535], [0, 2]),
    ],
)
def test_ports(text: str, inside: list[int], outside: list[int]) -> None:
    condition = compile_port(text, "src_port")
    assert all(matches(condition, src_port=port, dst_port=7) for port in inside)
    assert not any(matches(condition, src_port=port, dst_port=80) for port in outside)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("root", ["root", "ROOT", " Root\t"], ["", "roo", "root x"]),
        (" Root ", ["root"], ["admin"]),
        ("!root", ["", "admin"], ["root", " ROOT "]),
        ("any", ["any", "Any"], ["x"]),
        ("STRASSE", ["straße"], ["strase"]),
        ("root,admin", ["root", "admin"], ["Root", " root", "", "root,admin"]),
        (" root , admin ,", ["root", "admin"], ["root ", ""]),
        ("root,!admin", ["root", "x", "", "ADMIN"], ["admin"]),
        ("!root,root", ["x", ""], ["root"]),
        ("root,", ["root"], ["ROOT", ""]),
        (":0", [":0"], ["", "0"]),
        (":1,x", [":1", "x"], ["", "1"]),
    ],
)
def test_texts(text: str, inside: list[str], outside: list[str]) -> None:
    condition = compile_text(text, "custom_data1")
    assert all(matches(condition, custom_data1=value) for value in inside)
    assert not any(matches(condition, custom_data1=value) for value in outside)


def test_a_list_of_protocols_does_not_regard_case() -> None:
    condition = compile_text("TCP, !udp", "protocol", True)
    assert matches(condition, protocol="tcp")
    assert matches(condition, protocol="icmp")
    assert not matches(condition, protocol=" UDP ")


@pytest.mark.parametrize("text", ["ANY", " ANY "])
def test_any_is_no_condition(text: str) -> None:
    assert compile_address(text, "src_ip") is None
    assert compile_port(text, "src_port") is None
    assert compile_text(text, "custom_data1") is None


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_port_or_text_is_any(text: str) -> None:
    assert compile_port(text, "src_port") is None
    assert compile_text(text, "custom_data1") is None


def test_a_reference_is_a_colon_and_a_stage_and_nothing_else() -> None:
    assert compile_address(":1", "src_ip") == StageReference(1, "src_ip")
    assert compile_port(":99", "dst_port") == StageReference(99, "dst_port")
    assert compile_text(":10", "custom_data3") == StageReference(10, "custom_data3")
    for text in (":0", ":100", ":01", " :1", ":1 ", "! :1", "!!:1", "::1", ":1.src_ip", ":1.To"):
        assert not isinstance(compile_text(text, "custom_data1"), StageReference)
    assert not isinstance(compile_address("::1", "src_ip"), StageReference)


def test_a_reference_may_name_another_field_and_be_negated() -> None:
    assert compile_address("!:1", "src_ip") == StageReference(1, "src_ip", negated=True)
    assert compile_address(":2.to", "src_ip") == StageReference(2, "dst_ip")
    assert compile_port("!:1.port_from", "dst_port") == StageReference(1, "src_port", negated=True)
    assert compile_text(":3.custom_data2", "protocol") == StageReference(3, "custom_data2")
    assert compile_text(":1.from", "custom_data1") == StageReference(1, "src_ip")
    assert compile_port(":1.custom_data1", "src_port") == StageReference(1, "custom_data1")


@pytest.mark.parametrize(("text", "field"), [(":1.port_to", "src_ip"), ("!:1.to", "dst_port")])
def test_an_address_and_a_port_are_never_compared(text: str, field: str) -> None:
    compiler = compile_address if field == "src_ip" else compile_port
    with pytest.raises(ConditionError, match="an address and a port are never equal"):
        compiler(text, field)


networks = st.builds(
    lambda bits, length: ip_network((0x0A000000 | bits, length), strict=False),
    st.integers(0, 7),
    st.integers(28, 32),
)


@given(
    st.lists(st.tuples(networks, st.booleans()), min_size=1, max_size=6),
    st.integers(0, 15),
)
def test_a_list_is_read_left_to_right(items: list[tuple[Any, bool]], bits: int) -> None:
    address = ip_address(0x0A000000 | bits)
    text = ",".join(f"{'' if plain else '!'}{network}" for network, plain in items)
    first = [plain for network, plain in items if address in network][:1]
    wanted = first[0] if first else not all(plain for _, plain in items)
    assert matches(compile_address(text, "dst_ip"), dst_ip=str(address)) == wanted


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1), st.integers(0, 5))
def test_a_list_of_ports_is_too(items: list[tuple[int, bool]], port: int) -> None:
    text = " ".join(f"{'' if plain else '!'}{number}" for number, plain in items)
    first = [plain for number, plain in items if number == port][:1]
    wanted = first[0] if first else not all(plain for _, plain in items)
    assert matches(compile_port(text, "src_port"), src_port=port) == wanted
