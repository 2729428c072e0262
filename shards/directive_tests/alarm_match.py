"""Compares the values of an alarm with those that a test expects."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engine.alarm import AlarmRecord
from shards.directive_tests.test_file import Expectation

Values = Mapping[str, Any]
_SHOWN_CHARACTERS = 300
"""Characters of a value in a message."""


def stages_of(alarm: AlarmRecord) -> list[str]:
    """The status of each stage of an alarm."""
    return [rule.status or ("open" if rule.start_time else "none") for rule in alarm.rules]


def describe(directive: int, alarm: AlarmRecord) -> str:
    """An alarm in one line."""
    stages = ", ".join(stages_of(alarm))
    title = _shown(alarm.title)
    return f"directive {directive}, risk {alarm.risk}, stages [{stages}], title {title}"


def describe_expected(expected: Expectation) -> str:
    """The values that are expected, in one line."""
    given = msgspec.to_builtins(expected)
    given.pop("count", None)
    return ", ".join(f"{name} {_shown(value)}" for name, value in given.items())


def values_of(alarm: AlarmRecord) -> Values:
    """The values of an alarm that a test may expect."""
    return {**msgspec.to_builtins(alarm), "stages": stages_of(alarm)}


def wanted_of(expected: Expectation) -> Values:
    """The values that an alarm must have."""
    given = msgspec.to_builtins(expected)
    return {name: value for name, value in given.items() if name not in ("directive", "count")}


def differences(wanted_values: Values, real: Values) -> list[str]:
    """Each value of an alarm that is not as wanted, in words."""
    found: list[str] = []
    for name, wanted in wanted_values.items():
        if name == "rules":
            found += _rule_differences(wanted, real["rules"])
        elif not _equal(name, wanted, real.get(name, ())):
            found.append(f"{name} is {_shown(real.get(name, ()))}")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        plain = all(isinstance(one, str) for one in value)
        text = f"[{', '.join(value if plain else map(repr, value))}]"
    else:
        text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _rule_differences(wanted: Sequence[Any], got: Sequence[Any]) -> Iterator[str]:
    """The differences of rules, each wanted one with the one at its place."""
    if len(wanted) > len(got):
        yield f"rules has {len(got)} entries"
    for number, (one, real) in enumerate(zip(wanted, got, strict=False), 1):
        for name, value in one.items():
            if not _equal(name, value, real.get(name, "")):
                yield f"{name} of rule {number} is {_shown(real.get(name, ''))}"


def _equal(name: str, wanted: Any, got: Any) -> bool:
    if name == "stages":
        return bool(wanted == got[: len(wanted)])
    if isinstance(got, list | tuple):
        return _equal_lists(wanted if isinstance(wanted, list) else [wanted], got)
    return _equal_values(wanted, got)


def _equal_lists(wanted: Sequence[Any], got: Sequence[Any]) -> bool:
    """Whether lists are equal in any order: each item has one that it matches, in both."""
    return (
        len(wanted) == len(got)
        and all(any(_equal_values(item, one) for one in got) for item in wanted)
        and all(any(_equal_values(item, one) for item in wanted) for one in got)
    )


def _equal_values(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, str) and isinstance(got, str):
        return matches(wanted, got)
    if isinstance(wanted, dict) and isinstance(got, dict):
        return all(_equal_values(value, got.get(name)) for name, value in wanted.items())
    return bool(wanted == got)


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, in which * stands for any characters.

    Each part is taken at its first place, so that many * cost no more than few.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(last)
