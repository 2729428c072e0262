"""Conditions of OSSIM on addresses, ports and texts, as ours.

In OSSIM the order of a list does not matter: a value must be equal to one of the plain items, if
there are any, and to none of those with `!`. In ours the first equal item decides, and a list with
any `!` matches what no item is equal to.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from engine.address import parse_network
from engine.directives.condition import is_reference
from engine.directives.json_document import describe_value
from shards.ossim.references import InexpressibleError, convert_reference, find_reference

MAX_TEXT = 2**16
"""Characters of an attribute."""
MAX_PORTS = 4096
"""Ports of one condition; a range is written as its ports."""
_ANYWHERE = ("!0.0.0.0/0", "!::/0")
"""At the end of a list with `!`: what no item before is equal to does not match."""
_HOME_NET = ("HOME_NET", "!HOME_NET")
_PROTOCOLS = {"1": "ICMP", "6": "TCP", "17": "UDP"}


class ItemList(Struct, frozen=True):
    """The items of a list, without their `!`; ANY, which adds nothing, is left out."""

    plain: list[str]
    negated: list[str]

    @property
    def is_any(self) -> bool:
        """Whether it matches all."""
        return not (self.plain or self.negated)


def split_items(text: str) -> ItemList:
    """The items of a text; InexpressibleError for `!ANY`."""
    items = [item for part in text.split(",") if (item := part.strip())]
    negated = [item[1:].strip() for item in items if item.startswith("!")]
    if "ANY" in negated:
        raise InexpressibleError("bad-value", "has !ANY, which matches nothing")
    plain = [item for item in items if not item.startswith("!") and item != "ANY"]
    return ItemList(_unique(plain), _unique(item for item in negated if item))


def convert_condition(text: str, field: str, level: int) -> str:
    """The condition in a field of ours, of a rule of a level, that means the same.

    InexpressibleError if there is none, or the text is wrong in OSSIM too.
    """
    references = [found for item in text.split(",") if (found := find_reference(item))]
    if references and text.strip() != references[0].text:
        message = f"is {describe_value(text)}: a reference in a list cannot be expressed"
        raise InexpressibleError("reference-in-list", message)
    if references:
        return convert_reference(references[0], field, level)
    items = split_items(text)
    return "ANY" if items.is_any else _CONVERTERS[field](items)


def _addresses(items: ItemList) -> str:
    whole = ",".join((*items.plain, *(f"!{item}" for item in items.negated)))
    if whole in _HOME_NET:
        return whole
    for item in (*items.plain, *items.negated):
        _check_address(item)
    if not (items.plain and items.negated):
        return _listed(items)
    # An address that is excluded must be tested before the network that it is in.
    return ", ".join((*(f"!{item}" for item in items.negated), *items.plain, *_ANYWHERE))


def _check_address(item: str) -> None:
    if item == "HOME_NET":
        message = "has HOME_NET in a list, which cannot be expressed: it must stand alone"
        raise InexpressibleError("home-net-in-list", message)
    try:
        parse_network(item)
    except ValueError:
        message = f"has {describe_value(item)}, a name or group of assets: write its addresses"
        raise InexpressibleError("asset-name", message) from None


def _ports(items: ItemList) -> str:
    plain, negated = _expand(items.plain), _expand(items.negated)
    if 0 in plain:  # which is ANY in OSSIM
        plain = []
    both = _without(ItemList(list(map(str, plain)), [str(port) for port in negated if port]))
    if 0 in negated and not both.plain:
        raise InexpressibleError("bad-value", "has !0: an absent port cannot be excluded")
    return "ANY" if both.is_any else _listed(both)


def _expand(items: Iterable[str]) -> list[int]:
    """The ports of items, of which some are ranges (`20-25`)."""
    ports: list[int] = []
    for item in items:
        first, dash, last = item.partition("-")
        low, high = _port(first, item), _port(last if dash else first, item)
        if len(ports) + high - low + 1 > MAX_PORTS:
            message = f"has more than {MAX_PORTS} ports: write fewer, or ANY"
            raise InexpressibleError("too-many-ports", message)
        ports += range(low, high + 1)
    return ports


def _port(text: str, item: str) -> int:
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    message = f"has {describe_value(item)}, must be a port or a range of ports"
    raise InexpressibleError("bad-value", message)


def _protocols(items: ItemList) -> str:
    names = ([_PROTOCOLS.get(item, item) for item in side] for side in (items.plain, items.negated))
    return _texts(ItemList(*names))


def _texts(items: ItemList) -> str:
    for item in (*items.plain, *items.negated):
        if item == "EMPTY":
            raise InexpressibleError("empty-text", "has EMPTY, an absent text: not expressible")
        if is_reference(item) or item.startswith("!"):
            message = f"has {describe_value(item)}, which has another meaning in our conditions"
            raise InexpressibleError("bad-value", message)
    return _listed(_without(items))


def _without(items: ItemList) -> ItemList:
    """The list without `!` items if there are plain ones, which then are the only ones to match."""
    if not (items.plain and items.negated):
        return items
    negated = {item.casefold() for item in items.negated}
    plain = [item for item in items.plain if item.casefold() not in negated]
    if not plain:
        raise InexpressibleError("bad-value", "matches nothing: each item is there with ! too")
    return ItemList(plain, [])


def _listed(items: ItemList) -> str:
    return ", ".join((*items.plain, *(f"!{item}" for item in items.negated)))


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


_CONVERTERS: dict[str, Callable[[ItemList], str]] = {
    "from": _addresses,
    "to": _addresses,
    "port_from": _ports,
    "port_to": _ports,
    "protocol": _protocols,
    "custom_data1": _texts,
    "custom_data2": _texts,
    "custom_data3": _texts,
}
