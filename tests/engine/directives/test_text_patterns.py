"""The patterns for schemas match all that the parsers accept, and little else."""

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from engine.address import parse_network
from engine.directives.condition import ConditionError, compile_address, compile_port
from engine.directives.text_patterns import ADDRESSES, DESCRIPTIONS, FILLED, NETWORK, PORTS

SEPARATORS = st.text(", \t\x1f", max_size=2)


def texts(*items: str) -> st.SearchStrategy[str]:
    """Lists of these items, of which many are wrong; no text ends with a line break.

    `$` matches before a last line break in Python, and not in ECMAScript.
    """
    return st.lists(st.sampled_from(items) | SEPARATORS, max_size=5).map("".join)


def accepts(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


@given(texts("22", "!", "0", "65535", "65536", "000", "99999", "٢", "ANY", ":1", ":10", "x", "7"))
@example("!:1.port_to")
@example(":1.custom_data3")
@example(":1.from")
@example(":1.custom_data4")
@example("00080")
@example("00000")
@example("000080")
def test_ports(text: str) -> None:
    valid = accepts(lambda one: compile_port(one, "src_port"), text)
    assert matches(PORTS, text) is valid


@given(texts("10.0.0.1", "!", "/8", "/032", "/33", ".256", "0", "ANY", "!HOME_NET", ":1", "/"))
@example("!:1.to")
@example(":99.protocol")
@example(":1.port_from")
@example("!:1.To")
@example("HOME_NET\x1f")
def test_address_conditions_without_ipv6(text: str) -> None:
    assume(not any(word.count(":") > 1 for word in re.split(r"[\s,]", text)))  # such as ":1:1"
    valid = accepts(lambda one: compile_address(one, "src_ip"), text)
    assert matches(ADDRESSES, text) is valid


IPV6 = ("::", "1", "2001:db8", ":", "ffff", "/128", "/129", "10.0.0.1", "!", "/0", "g", "%e")


@given(texts(*IPV6))
def test_ipv6_addresses_that_are_valid_match(text: str) -> None:
    if accepts(lambda one: compile_address(one, "src_ip"), text):
        assert matches(ADDRESSES, text)
    if accepts(parse_network, text):
        assert matches(NETWORK, text)


@given(st.ip_addresses(), st.integers(0, 129))
def test_networks(address: object, length: int) -> None:
    text = f"{address}/{length}"
    assert matches(NETWORK, text) is accepts(parse_network, text)
    assert matches(NETWORK, str(address))
    assert not matches(NETWORK, f" {address}")


@given(st.text())
@example("\ufeff")
@example("\x1f \x85")
def test_filled(text: str) -> None:
    assert matches(FILLED, text) is bool(text.strip())


@pytest.mark.parametrize("text", ["any", "10.0.0.1.1", "lan", "!ANY", " :1", ":100", "::1::"])
def test_likely_mistakes_are_no_addresses(text: str) -> None:
    with pytest.raises(ConditionError):
        compile_address(text, "src_ip")
    assert matches(ADDRESSES, text) is (text == "::1::")  # its characters are right


def test_long_texts_take_no_long_time() -> None:
    """The patterns do not backtrack, not even over 20,000 items."""
    items = (
        "22,",
        "00022 ",
        "10.0.0.1 ",
        "!10.0.0.0/008,",
        "::1,,",
        "2001:db8::/032 ",
        " ",
        ":",
        "0",
    )
    for item in items:
        for pattern in (PORTS, ADDRESSES, NETWORK, FILLED):
            matches(pattern, item * 20_000)
            if pattern != FILLED:
                assert not matches(pattern, item * 20_000 + "x")


def test_each_pattern_is_described() -> None:
    assert DESCRIPTIONS.keys() == {FILLED, NETWORK, ADDRESSES, PORTS}
