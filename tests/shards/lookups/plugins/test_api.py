"""The interface of plugins: URLs with placeholders."""

import pytest

from shards.lookups.plugins.api import fill_url


def test_addresses_and_ports_are_filled_in() -> None:
    assert fill_url("http://x/${ip}/${ip}", "::ffff:1.2.3.4") == "http://x/1.2.3.4/1.2.3.4"
    assert (
        fill_url("http://x/?a=${ip}&p=${port}", "2001:DB8::0:1", 80)
        == "http://x/?a=2001:db8::1&p=80"
    )
    assert fill_url("http://x/${ip}/$ip/${other}", "1.2.3.4", 1) == "http://x/1.2.3.4/$ip/${other}"
    with pytest.raises(ValueError, match="there is no port"):
        fill_url("http://x/${ip}/${port}", "1.2.3.4")


@pytest.mark.parametrize("port", [0, -1, 65536, True, "80", 80.0])
def test_a_port_that_is_not_one_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="is no port"):
        fill_url("http://x/${ip}", "1.2.3.4", port)


@pytest.mark.parametrize("ip", ["", "x", "1.2.3", "1.2.3.4/..", "${ip}"])
def test_an_address_that_is_not_one_is_refused(ip: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fill_url("http://x/${ip}", ip)
