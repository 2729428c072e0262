"""Address, port and text conditions of a rule, compiled once from the text of the file.

A condition becomes a test of one event, a reference to the first event of an earlier stage, or
None for ANY. A list is read left to right: the first equal item decides, `!` items negate, and
when none is equal the list matches if it holds any `!` item.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter

from msgspec import Struct

from engine.address import PrefixMap, merge_covering, parse_network
from engine.asset import AddressInfo
from engine.directives.json_document import describe
from engine.event import NormalizedEvent

EventPredicate = Callable[[NormalizedEvent, AddressInfo, AddressInfo], bool]
"""Does an event pass? Given the event, and the facts of its src_ip and of its dst_ip."""

_REFERENCE = re.compile(r":[1-9][0-9]?")
_SEPARATORS = re.compile(r"[,\s]+")
_COMPILED = 8192
"""Distinct condition texts kept compiled; thousands of directives share a few."""


class StageReference(Struct, frozen=True):
    """The condition `:N`: equal to the value of `field` in the first event of stage N."""

    stage: int
    field: str


Condition = EventPredicate | StageReference | None


class ConditionError(ValueError):
    """A condition text that cannot be compiled; says what is wrong and what would be right."""


def fold_case(text: str) -> str:
    """A text as caseless comparison sees it: outer blanks cut, case folded."""
    return text.strip().casefold()


def is_reference(text: str) -> bool:
    """Whether a condition is a reference."""
    return _REFERENCE.fullmatch(text) is not None


@lru_cache(maxsize=_COMPILED)
def compile_address(text: str, field: str) -> Condition:
    """The condition `from` (on src_ip) or `to` (on dst_ip)."""
    if _REFERENCE.fullmatch(text):
        return StageReference(int(text[1:]), field)
    whole = text.strip()
    if whole == "ANY":
        return None
    if whole in ("HOME_NET", "!HOME_NET"):
        return _HOME_TESTS[field, whole]
    items = _split(text)
    if not items:
        raise ConditionError("is empty, must be ANY, HOME_NET, !HOME_NET, a list of IPs, or :stage")
    return _network_test([_network_item(item) for item in items], field)


@lru_cache(maxsize=_COMPILED)
def compile_port(text: str, field: str) -> Condition:
    """The condition `port_from` (on src_port) or `port_to` (on dst_port)."""
    if _REFERENCE.fullmatch(text):
        return StageReference(int(text[1:]), field)
    if text.strip() in ("", "ANY"):
        return None
    items = _split(text)
    if not items:
        raise ConditionError(f"is {describe(text)}, must be ANY, a list of ports, or :stage")
    return _list_test([_port_item(item) for item in items], attrgetter(field))


@lru_cache(maxsize=_COMPILED)
def compile_text(text: str, field: str, caseless_list: bool = False) -> Condition:
    """A condition on custom data; with `caseless_list` (protocol), lists compare caselessly too."""
    if _REFERENCE.fullmatch(text):
        return StageReference(int(text[1:]), field)
    if text.strip() in ("", "ANY"):
        return None
    value_of = attrgetter(field)
    if "," not in text:
        return _single_test(text.strip(), value_of)
    items = [_negation(item.strip()) for item in text.split(",") if item.strip()]
    if not items:
        raise ConditionError(f"is {describe(text)}, must be ANY, a text, a list, or :stage")
    if caseless_list:
        items = [(fold_case(item), verdict) for item, verdict in items]
        return _list_test(items, lambda event: fold_case(value_of(event)))
    return _list_test(items, value_of)


_HOME_TESTS: dict[tuple[str, str], EventPredicate] = {
    ("src_ip", "HOME_NET"): lambda event, src, dst: src.home,
    ("src_ip", "!HOME_NET"): lambda event, src, dst: not src.home,
    ("dst_ip", "HOME_NET"): lambda event, src, dst: dst.home,
    ("dst_ip", "!HOME_NET"): lambda event, src, dst: not dst.home,
}


def _split(text: str) -> list[str]:
    return [item for item in _SEPARATORS.split(text) if item]


def _negation(item: str) -> tuple[str, bool]:
    """An item without its `!`, and the verdict when it is equal."""
    return (item[1:].lstrip(), False) if item.startswith("!") else (item, True)


def _network_item(item: str) -> tuple[str, bool]:
    bare, verdict = _negation(item)
    try:
        parse_network(bare)
    except ValueError:
        raise ConditionError(_not_an_address(item, bare)) from None
    return bare, verdict


def _not_an_address(item: str, bare: str) -> str:
    if bare in ("ANY", "HOME_NET"):
        return f"has {item} inside a list, must stand alone"
    if item.startswith(":"):
        return f"has {describe(item)}, a reference must be : and a stage from 1 to 99, alone"
    return (
        f"has {describe(item)}, must be ANY, HOME_NET, !HOME_NET (in capitals), "
        "a list of IPs or CIDRs, or :stage"
    )


def _network_test(items: Sequence[tuple[str, bool]], field: str) -> EventPredicate:
    """Of the networks that contain the address, the one listed first decides."""
    entries = [(parse_network(bare)[0], verdict) for bare, verdict in items]
    verdicts = PrefixMap((network, around[0]) for network, around in merge_covering(entries))
    default = not all(verdict for _, verdict in entries)
    value_of = attrgetter(field)
    return lambda event, src, dst: verdicts.get(value_of(event), default)


def _port_item(item: str) -> tuple[int, bool]:
    bare, verdict = _negation(item)
    if not (bare.isascii() and bare.isdigit() and len(bare) <= 5 and 1 <= int(bare) <= 65535):
        raise ConditionError(f"has {describe(item)}, must be a port from 1 to 65535")
    return int(bare), verdict


def _list_test(
    items: Sequence[tuple[int | str, bool]], value_of: Callable[[NormalizedEvent], int | str]
) -> EventPredicate:
    verdicts: dict[int | str, bool] = {}
    for item, verdict in items:
        verdicts.setdefault(item, verdict)
    default = not all(verdict for _, verdict in items)
    return lambda event, src, dst: verdicts.get(value_of(event), default)


def _single_test(text: str, value_of: Callable[[NormalizedEvent], str]) -> EventPredicate:
    item, equal = _negation(text)
    wanted = fold_case(item)
    return lambda event, src, dst: (fold_case(value_of(event)) == wanted) is equal
