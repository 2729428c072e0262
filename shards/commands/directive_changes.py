"""What differs between the directives of two configs, in words: fields, and stages."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from engine.directives.directive import Directive
from shards.config.config_folder import Config
from shards.safe_text import shorten

MAX_CHANGES = 20
"""Number of changes of a directive that are listed; more are counted."""
_MAX_VALUE = 60


class DirectiveChange(Struct, frozen=True):
    """A directive of either config, with what differs, as lines; none if it is the same in both."""

    id: int
    name: str
    changes: tuple[str, ...]


def compare_directives(old: Config, new: Config) -> dict[int, DirectiveChange]:
    """All enabled directives of both configs by id."""
    before = {directive.id: directive for directive in old.directives}
    after = {directive.id: directive for directive in new.directives}
    found = {}
    for id_ in sorted({*before, *after}):
        one, other = before.get(id_), after.get(id_)
        if one is not None and other is not None:
            changes = _bounded(_differences(one, other)) if one != other else ()
        elif one is not None:
            changes = (_only("OLD", "NEW", disabled=id_ in new.disabled),)
        else:
            changes = (_only("NEW", "OLD", disabled=id_ in old.disabled),)
        directive = other or one
        found[id_] = DirectiveChange(id_, directive.name if directive else "", changes)
    return found


def _only(where: str, elsewhere: str, *, disabled: bool) -> str:
    return f"disabled in {elsewhere}" if disabled else f"only in {where}"


def _bounded(changes: Iterator[str]) -> tuple[str, ...]:
    texts = list(changes)
    more = len(texts) - MAX_CHANGES
    return (*texts[:MAX_CHANGES], f"and {more} more changes") if more > 0 else tuple(texts)


def _differences(old: Directive, new: Directive) -> Iterator[str]:
    yield from _field_changes("", old, new, skip="rules")
    for stage, (one, other) in enumerate(zip(old.rules, new.rules, strict=False), 1):
        yield from _field_changes(f"stage {stage} ", one, other, skip="stage")
    common = min(len(old.rules), len(new.rules))
    for rule in new.rules[common:]:
        yield f"stage {rule.stage} added: {shorten(rule.name, _MAX_VALUE)}"
    for rule in old.rules[common:]:
        yield f"stage {rule.stage} removed: {shorten(rule.name, _MAX_VALUE)}"


def _field_changes(prefix: str, old: Struct, new: Struct, *, skip: str) -> Iterator[str]:
    names = zip(old.__struct_fields__, old.__struct_encode_fields__, strict=True)
    for name, key in names:
        one, other = getattr(old, name), getattr(new, name)
        if name != skip and one != other:
            label = "all_rules_always_active" if name == "always_active" else key
            yield f"{prefix}{label} {_value(one)} → {_value(other)}"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    elif isinstance(value, bool):
        value = str(value).lower()
    return shorten(str(value), _MAX_VALUE) or '""'
