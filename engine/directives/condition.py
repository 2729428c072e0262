"""Compiles the address, port and text conditions of a rule.

A condition becomes a predicate of an event, a reference to the first event of an earlier stage, or
None for ANY. A list is read left to right: the first equal item decides, `!` items negate, and if
none is equal, the list matches if it has any `!` item.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from engine.address import PrefixMap, merge_covering, parse_network
from engine.asset import AddressInfo
from engine.directives.json_document import describe_value
from engine.directives.wildcards import compile_pattern
from engine.event import NormalizedEvent

EventPredicate = Callable[[NormalizedEvent, AddressInfo, AddressInfo], bool]
"""Whether an event meets a condition; the other arguments describe its src_ip and dst_ip."""

REFERENCE_FIELDS = {
    "from": "src_ip",
    "to": "dst_ip",
    "port_from": "src_port",
    "port_to": "dst_port",
    **{name: name for name in ("protocol", "custom_data1", "custom_data2", "custom_data3")},
}
"""The event fields that a reference can name, by the names of the conditions on them."""
_PORTS = frozenset({"src_port", "dst_port"})
_ADDRESSES = frozenset({"src_ip", "dst_ip"})
_REFERENCE = re.compile(rf"(!?):([1-9][0-9]?)(?:\.({'|'.join(REFERENCE_FIELDS)}))?")
_SEPARATORS = re.compile(r"[,\s]+")
_RIGHT_REFERENCE = "a reference must be : and a stage from 1 to 99, as :1, :1.to or !:1, alone"
_COMPILED = 8192
"""Size of the caches of compiled conditions; thousands of directives share a few texts."""


class Slot(NamedTuple):
    """A value that references stand for: an event field of the first event of a stage."""

    stage: int
    field: str


class StageReference(Struct, frozen=True):
    """The condition `:N` or `:N.F`: equal to the value of `field` in the first event of stage N.

    `negated`: `!:N` or `!:N.F`, not equal to it.
    """

    stage: int
    field: str
    negated: bool = False

    @property
    def slot(self) -> Slot:
        """The value that it stands for."""
        return Slot(self.stage, self.field)


Condition = EventPredicate | StageReference | None


class ConditionError(ValueError):
    """A condition text is invalid; the message says what is wrong and what would be right."""


def fold_case(text: str) -> str:
    """A text for caseless comparison: without outer blanks, case folded."""
    return text.strip().casefold()


def is_reference(text: str) -> bool:
    """Whether a condition text is a reference, as `:1`, `:1.to`, `!:1` or `!:1.to`."""
    return _REFERENCE.fullmatch(text) is not None


def find_reference(text: str, field: str) -> StageReference | None:
    """The reference that the condition text on an event field consists of, if it is one."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    named = REFERENCE_FIELDS[found[3]] if found[3] else field
    return StageReference(int(found[2]), named, negated=bool(found[1]))


def split_list(text: str, *, by_blanks: bool) -> list[tuple[str, bool]]:
    """The items of a list, each without its `!`, and the result if the value is equal to it."""
    items = _split(text) if by_blanks else [item.strip() for item in text.split(",")]
    return [_negation(item) for item in items if item]


@lru_cache(maxsize=_COMPILED)
def compile_address(text: str, field: str) -> Condition:
    """Compile the condition `from` (field src_ip) or `to` (field dst_ip)."""
    if reference := _reference(text, field):
        return reference
    whole = text.strip()
    if whole == "ANY":
        return None
    if whole in ("HOME_NET", "!HOME_NET"):
        return _HOME_NET_PREDICATES[field, whole]
    items = _split(text)
    if not items:
        raise ConditionError("is empty, must be ANY, HOME_NET, !HOME_NET, a list of IPs, or :stage")
    return _network_predicate([_network_item(item) for item in items], field)


@lru_cache(maxsize=_COMPILED)
def compile_port(text: str, field: str) -> Condition:
    """Compile the condition `port_from` (field src_port) or `port_to` (field dst_port)."""
    if reference := _reference(text, field):
        return reference
    if text.strip() in ("", "ANY"):
        return None
    items = _split(text)
    if not items:
        raise ConditionError(f"is {describe_value(text)}, must be ANY, a list of ports, or :stage")
    return _list_predicate([_port_item(item) for item in items], attrgetter(field))


@lru_cache(maxsize=_COMPILED)
def compile_text(
    text: str, field: str, caseless_list: bool = False, wildcards: bool = False
) -> Condition:
    """Compile a condition on a text; with `caseless_list` (protocol), lists ignore case too."""
    if reference := find_reference(text, field):
        return reference
    if text.strip() in ("", "ANY"):
        return None
    value_of = attrgetter(field)
    if "," not in text:
        return _text_predicate(text.strip(), value_of, wildcards)
    items = split_list(text, by_blanks=False)
    if not items:
        raise ConditionError(f"is {describe_value(text)}, must be ANY, a text, a list, or :stage")
    make_predicate = _pattern_list_predicate if wildcards else _list_predicate
    if caseless_list:
        items = [(fold_case(item), result) for item, result in items]
        return make_predicate(items, lambda event: fold_case(value_of(event)))
    return make_predicate(items, value_of)


_HOME_NET_PREDICATES: dict[tuple[str, str], EventPredicate] = {
    ("src_ip", "HOME_NET"): lambda event, src, dst: src.home,
    ("src_ip", "!HOME_NET"): lambda event, src, dst: not src.home,
    ("dst_ip", "HOME_NET"): lambda event, src, dst: dst.home,
    ("dst_ip", "!HOME_NET"): lambda event, src, dst: not dst.home,
}


def _reference(text: str, field: str) -> StageReference | None:
    """The reference that an address or a port consists of.

    ConditionError if it has blanks, or compares an address with a port.
    """
    reference = find_reference(text, field)
    if reference is None:
        if _REFERENCE.fullmatch("".join(text.split())):
            raise ConditionError(f"is {describe_value(text)}, {_RIGHT_REFERENCE}, without blanks")
        return None
    if {field, reference.field} & _PORTS and {field, reference.field} & _ADDRESSES:
        kind, names = ("a port", "port_") if field in _PORTS else ("an address", "")
        raise ConditionError(
            f"is {describe_value(text)}, an address and a port are never equal: must be {kind} "
            f"({names}from, {names}to) or a text"
        )
    return reference


def _split(text: str) -> list[str]:
    return [item for item in _SEPARATORS.split(text) if item]


def _negation(item: str) -> tuple[str, bool]:
    """An item without its `!`, and the result if the value is equal to it."""
    return (item[1:].lstrip(), False) if item.startswith("!") else (item, True)


def _network_item(item: str) -> tuple[str, bool]:
    bare, result = _negation(item)
    try:
        parse_network(bare)
    except ValueError:
        raise ConditionError(_not_an_address(item, bare)) from None
    return bare, result


def _not_an_address(item: str, bare: str) -> str:
    if bare in ("ANY", "HOME_NET"):
        return f"has {item} inside a list, must stand alone"
    if bare.startswith(":"):
        return f"has {describe_value(item)}, {_RIGHT_REFERENCE}"
    return (
        f"has {describe_value(item)}, must be ANY, HOME_NET, !HOME_NET (in capitals), "
        "a list of IPs or CIDRs, or :stage"
    )


def _network_predicate(items: Sequence[tuple[str, bool]], field: str) -> EventPredicate:
    """Of the networks that contain the address, the one listed first decides."""
    entries = [(parse_network(bare)[0], result) for bare, result in items]
    results = PrefixMap((network, around[0]) for network, around in merge_covering(entries))
    default = not all(result for _, result in entries)
    value_of = attrgetter(field)
    return lambda event, src, dst: results.get(value_of(event), default)


def _port_item(item: str) -> tuple[int, bool]:
    bare, result = _negation(item)
    if not (bare.isascii() and bare.isdigit() and len(bare) <= 5 and 1 <= int(bare) <= 65535):
        raise ConditionError(f"has {describe_value(item)}, must be a port from 1 to 65535")
    return int(bare), result


def _list_predicate(
    items: Sequence[tuple[int | str, bool]], value_of: Callable[[NormalizedEvent], int | str]
) -> EventPredicate:
    results: dict[int | str, bool] = {}
    for item, result in items:
        results.setdefault(item, result)
    default = not all(result for _, result in items)
    return lambda event, src, dst: results.get(value_of(event), default)


def _pattern_list_predicate(
    items: Sequence[tuple[str, bool]], value_of: Callable[[NormalizedEvent], str]
) -> EventPredicate:
    patterns = [(compile_pattern(item), result) for item, result in items]
    default = not all(result for _, result in items)

    def predicate(event: NormalizedEvent, _src: AddressInfo, _dst: AddressInfo) -> bool:
        value = value_of(event)
        return next((result for matches, result in patterns if matches(value)), default)

    return predicate


def _text_predicate(
    text: str, value_of: Callable[[NormalizedEvent], str], wildcards: bool
) -> EventPredicate:
    item, equal = _negation(text)
    wanted = fold_case(item)
    if wildcards:
        matches = compile_pattern(wanted)
        return lambda event, src, dst: matches(fold_case(value_of(event))) is equal
    return lambda event, src, dst: (fold_case(value_of(event)) == wanted) is equal
