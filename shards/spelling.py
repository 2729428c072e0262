"""The spellings of a setting: --max-delay, --max_delay, --maxDelay, its aliases, --no-… .

What may live here: one spelling in place of many. What may not: what a setting's value is.
"""

from collections.abc import Mapping, Sequence

from shards import values
from shards.table import TABLE, Setting


def canonical(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with one spelling a setting, and switches always as --x=true|false."""
    left, done = list(arguments), []
    while left and left[0] != "--":
        done.append(_canonical_option(left.pop(0), left))
    return done + left


def _canonical_option(token: str, following: list[str]) -> str:
    spelling, equals, value = token.partition("=")
    if row := _SPELLINGS.get(spelling):
        if row.is_switch and not equals:
            equals, value = "=", _switch_value(following)
        return f"{row.flag}{equals}{value}"
    if row := _NEGATIONS.get(token):
        return f"{row.flag}=false"
    if row := _SPELLINGS.get(token[:2]):
        return f"{row.flag}={token[2:]}"  # -nNAME
    return token


def _switch_value(following: list[str]) -> str:
    """Take the value after a switch, if that is one: `--x false`, but not `--x FILE`."""
    if following and following[0].lower() in values.BOOLEANS:
        return following.pop(0)
    return "true"


def _spellings(name: str) -> list[str]:
    first, *rest = name.split("_")
    camel = first + "".join(word[:1].upper() + word[1:] for word in rest)
    return [name.replace("_", "-"), name, camel]


def _named(row: Setting, prefix: str = "") -> list[str]:
    return [s for name in (row.name, *row.spec.aliases) for s in _spellings(prefix + name)]


KEYS: Mapping[str, Setting] = {name: row for row in TABLE.values() for name in _named(row)}
"""By every spelling of its key in a settings file: the setting."""
_SPELLINGS = {f"--{name}": row for name, row in KEYS.items()} | {
    row.spec.short: row for row in TABLE.values() if row.spec.short
}
_NEGATIONS = {
    f"--{name}": row for row in TABLE.values() if row.is_switch for name in _named(row, "no_")
}
