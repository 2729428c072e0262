"""Warnings about rules that are valid and still cannot do what is written there."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from engine.address import merge_covering, parse_network
from engine.directives.condition import StageReference, split_list
from engine.directives.json_document import describe_value
from engine.directives.rule import compile_condition
from engine.errors import Finding

Item = dict[str, Any]

_TEXTS = ("protocol", "custom_data1", "custom_data2", "custom_data3")
_ADDRESSES = ("from", "to")
_CONDITIONS = (*_ADDRESSES, "port_from", "port_to", *_TEXTS)
_KNOWN_CONDITIONS = 8192
"""Size of the cache of warnings by conditions; thousands of directives share a few."""
_STICKY_CONDITIONS = {
    "SRC_IP": ("from", "from_"),
    "DST_IP": ("to", "to"),
    "SRC_PORT": ("port_from", "port_from"),
    "DST_PORT": ("port_to", "port_to"),
}
"""The field and the record field of the condition on a value of `sticky_different`."""


def rule_warnings(values: Item) -> list[Finding]:
    """The warnings about the valid values of a rule."""
    warnings = list(_condition_warnings(tuple(map(values.get, _CONDITIONS))))
    if values.get("type") == "TaxonomyRule":
        warnings += _any_in_taxonomy(values)
    if values.get("sticky_different"):
        warnings += _too_few_values(values)
    if values.get("timeout") == 0 and (values.get("stage") or 1) > 1:
        message = "is 0 after stage 1: the stage ends at once, must be the seconds that it may last"
        warnings.append(_warning("no-timeout", message, "timeout"))
    return warnings


@lru_cache(maxsize=_KNOWN_CONDITIONS)
def _condition_warnings(texts: tuple[str | None, ...]) -> tuple[Finding, ...]:
    """The warnings about the conditions of a rule; None for a faulty one."""
    given = [(name, text) for name, text in zip(_CONDITIONS, texts, strict=True) if text]
    return tuple(
        finding
        for name, text in given
        for finding in (*_any_as_text(name, text), *_unreachable(name, text))
    )


def _any_as_text(name: str, text: str) -> Iterator[Finding]:
    """`ANY` in other capitals, in a list or with `!` is a text like any other."""
    if name not in _TEXTS or text.strip() == "ANY":
        return
    for item in text.split(","):
        if item.strip().removeprefix("!").strip().lower() == "any":
            right = "must be ANY, in capitals and alone, to match all"
            message = f"has {describe_value(item)}, compared as a text: {right}"
            yield _warning("any-as-text", message, name)


def _any_in_taxonomy(values: Item) -> Iterator[Finding]:
    places: list[tuple[tuple[str | int, ...], str]] = [
        ((name, position), item)
        for name in ("product", "subcategory")
        for position, item in enumerate(values.get(name) or ())
    ]
    places.append((("category",), values.get("category") or ""))
    for path, item in places:
        name = str(path[0])
        if item.strip().lower() != "any" or (name == "subcategory" and item == "ANY"):
            continue
        right = "must be ANY, in capitals" if name == "subcategory" else "there is no ANY here"
        message = f"is {describe_value(item)}, compared as a text: {right}"
        yield Finding("any-as-text", message, path, field=name, warning=True)


def _unreachable(name: str, text: str) -> Iterator[Finding]:
    """Items of a list that an earlier one, with the opposite result, decides instead of them."""
    items = split_list(text, by_blanks=name not in _TEXTS) if "!" in text else []
    if len(items) < 2:
        return
    if name in _ADDRESSES:
        networks = [(parse_network(bare)[0], number) for number, (bare, _) in enumerate(items)]
        deciding = {network: min(around) for network, around in merge_covering(networks)}
        first = [deciding[network] for network, _ in networks]
    else:
        known: dict[str, int] = {}
        first = [known.setdefault(bare, number) for number, (bare, _) in enumerate(items)]
    for number, (bare, result) in enumerate(items):
        before, decided = items[first[number]]
        if decided is not result:
            shown, earlier = _item(bare, result), _item(before, decided)
            message = f"has {shown} after {earlier}, which decides: must stand before it"
            yield _warning("unreachable", message, name)


def _item(bare: str, result: bool) -> str:
    return describe_value(bare if result else f"!{bare}").removeprefix("the text ")


def _too_few_values(values: Item) -> Iterator[Finding]:
    """`sticky_different` counts different values, and the rule lets through fewer of them."""
    occurrence = values.get("occurrence") or 1
    for sticky in values["sticky_different"].split(",") if occurrence > 1 else ():
        possible = _possible_values(values, sticky)
        if 0 < possible < occurrence:
            message = (
                f"is {sticky}, and the rule lets through {possible} different: "
                f"an occurrence of {occurrence} cannot be reached"
            )
            yield _warning("never-finishes", message, "sticky_different")


def _possible_values(values: Item, sticky: str) -> int:
    """The number of values of a name in `sticky_different` that a rule lets through; 0: unknown."""
    if sticky == "PLUGIN_SID" and values.get("type") == "PluginRule":
        return len(set(values.get("plugin_sid") or ()))
    if sticky in _STICKY_CONDITIONS:
        field, record_field = _STICKY_CONDITIONS[sticky]
        return number_of_values(values.get(field) or "ANY", record_field)
    return 0


def number_of_values(text: str, record_field: str) -> int:
    """The number of addresses or ports that a condition lets through; 0 if it is not known."""
    condition = compile_condition(record_field, text)
    if isinstance(condition, StageReference):
        return 0 if condition.negated else 1
    if condition is None or "HOME_NET" in text or "!" in text or "/" in text:
        return 0
    return len({bare for bare, _ in split_list(text, by_blanks=True)})


def _warning(code: str, message: str, field: str) -> Finding:
    return Finding(code, message, (field,), field=field, warning=True)
