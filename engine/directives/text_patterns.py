"""Regular expressions of addresses and ports in directives and assets, for the published schemas.

The parsers decide (`condition.py`, `address.py`); every text that they accept matches here. The
syntax means the same in Python and in ECMAScript, which editors use. IPv6 addresses are known by
their characters only; all else is exact. There is one way to match a text, so that none takes
long: without that, a list of 100 ports would take years.
"""

from engine.address import OCTET

_BLANK = r"\s\x1c-\x1f\x85"
"""What Python takes for a blank, within brackets: `\\s` of ECMAScript lacks some."""
FILLED = r"[\S\ufeff]"
"""A text that is not blank: U+FEFF is a blank in ECMAScript only."""
_IPV4 = rf"(?:{OCTET}\.){{3}}{OCTET}(?:/0*(?:3[0-2]|[12]?[0-9]))?"
_IPV6 = r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*(?:/0*(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))?"
_IP = rf"(?:{_IPV4}|{_IPV6})"
_PORT = (
    r"(?!0+(?![0-9]))"
    r"(?:[0-9]{1,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
_TEXT_FIELD = "protocol|custom_data[1-3]"


def _reference(field: str) -> str:
    """A reference, perhaps to one of these fields besides those of texts."""
    return rf"!?:[1-9][0-9]?(?:\.(?:{field}|{_TEXT_FIELD}))?"


def _list_of(item: str) -> str:
    """Items, each perhaps with `!`, between commas and blanks."""
    return rf"[,{_BLANK}]*!?{item}(?:[,{_BLANK}]+!?{item})*[,{_BLANK}]*"


NETWORK = rf"^{_IP}$"
"""One IP address or CIDR."""
ADDRESSES = (
    rf"^(?:{_reference('from|to')}|[{_BLANK}]*(?:ANY|!?HOME_NET)[{_BLANK}]*|{_list_of(_IP)})$"
)
"""An address condition that is not empty."""
PORTS = rf"^(?:{_reference('port_from|port_to')}|[{_BLANK}]*(?:ANY[{_BLANK}]*)?|{_list_of(_PORT)})$"
"""A port condition."""
DESCRIPTIONS = {
    FILLED: "must not be blank",
    NETWORK: "must be a CIDR or IP, such as 10.0.0.0/8 or 2001:db8::1",
    ADDRESSES: "must be ANY, HOME_NET, !HOME_NET, a list of IPs or CIDRs, or :stage",
    PORTS: "must be ANY, a list of ports from 1 to 65535, or :stage",
}
"""What each of them permits, in words."""
