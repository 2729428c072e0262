"""The spellings of settings: `--max-delay`, `--max_delay`, `--maxDelay`, aliases, `--no-…`.

`canonical_arguments` maps them to the spelling of `--help` before ConfigArgParse sees them, since
argparse cannot tell `--switch false` from `--switch FILE`.
"""

from collections.abc import Mapping, Sequence

from shards.settings.schema import BOOLEANS, Setting
from shards.settings.settings import SETTINGS_TABLE

SETTINGS_FILE = "--settings"


def canonical_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments with the spelling of `--help`, and settings always as --x=value."""
    rest, done = list(arguments), []
    while rest and rest[0] != "--":
        done.append(_canonical_option(rest.pop(0), rest))
    return done + rest


def _canonical_option(token: str, following: list[str]) -> str:
    spelling, equals, value = token.partition("=")
    if setting := _SPELLINGS.get(spelling):
        if setting.is_switch and not equals:
            equals, value = "=", _take_switch_value(following)
        elif not equals and following and not _is_option(following[0]):
            equals, value = "=", following.pop(0)
        return f"{setting.flag}{equals}{value}"
    if setting := _NEGATIONS.get(token):
        return f"{setting.flag}=false"
    if setting := _SPELLINGS.get(token[:2]):
        return f"{setting.flag}={token[2:]}"  # -nNAME
    return token


def _is_option(token: str) -> bool:
    return token.startswith("-") and token != "-"


def options_first(arguments: Sequence[str]) -> list[str]:
    """Canonical arguments with the operands last: argparse does not find those between options.

    A list that is given several times is one list of all values.
    """
    options: list[str] = []
    operands: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != "--":
        token = rest.pop(0)
        if not _is_option(token):
            operands.append(token)
        elif token == SETTINGS_FILE and rest:
            options.append(f"{token}={rest.pop(0)}")
        else:
            options.append(token)
    operands += rest[1:]
    without_value = bool(options) and "=" not in options[-1]  # it must not take an operand
    end = ["--"] if without_value or any(map(_is_option, operands)) else []
    return _with_joined_lists(options) + end + operands


def _with_joined_lists(options: list[str]) -> list[str]:
    joined: list[str] = []
    places: dict[str, int] = {}
    for option in options:
        flag, equals, value = option.partition("=")
        setting = _SPELLINGS.get(flag)
        if equals and setting is not None and setting.type is tuple:
            if flag in places:
                joined[places[flag]] += f",{value}"
                continue
            places[flag] = len(joined)
        joined.append(option)
    return joined


def _take_switch_value(following: list[str]) -> str:
    """Take the value after a switch if there is one: `--x false`, but not `--x FILE`."""
    if following and following[0].lower() in BOOLEANS:
        return following.pop(0)
    return "true"


def _spellings(name: str) -> list[str]:
    first, *rest = name.split("_")
    camel = first + "".join(word[:1].upper() + word[1:] for word in rest)
    return [name.replace("_", "-"), name, camel]


def _keys(setting: Setting, prefix: str = "") -> list[str]:
    if setting.spec.variable_only:
        return []
    names = (setting.name.rstrip("_"), *setting.spec.aliases)
    return [spelling for name in names for spelling in _spellings(prefix + name)]


SETTINGS_BY_KEY: Mapping[str, Setting] = {
    key: setting for setting in SETTINGS_TABLE.values() for key in _keys(setting)
}
"""The setting of each key in a settings file, in every spelling."""
_SPELLINGS = {f"--{key}": setting for key, setting in SETTINGS_BY_KEY.items()} | {
    setting.spec.short: setting for setting in SETTINGS_TABLE.values() if setting.spec.short
}
_NEGATIONS = {
    f"--{key}": setting
    for setting in SETTINGS_TABLE.values()
    if setting.is_switch
    for key in _keys(setting, "no_")
}
