"""From flags, environment and settings file to Settings: flag > variable > file > default.

What may live here: reading those three, for any verb. What may not: the settings themselves
(settings.py, values.py), and what a verb does (cli.py).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

import configargparse
from msgspec import Struct

from shards import values
from shards.settings import TABLE, Setting, Settings, rows_of

PROG = "dsiem-backend"
SETTINGS_FILE = "--settings"
USAGE, MISSING = 3, 2

_EPILOG = """\
A flag goes before its variable, a variable before the settings file, and that before the default.
A switch --x is also --no-x and --x false. An empty variable is unset. The settings file has one
setting a line, like `log-dir: /var/log/dsiem`.
"""


class UsageError(Exception):
    """A wrong command line, variable or settings file; the text is for the user, in one line."""

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Verb(Struct, frozen=True):
    """What the command line of one verb is, besides its settings."""

    name: str
    help: str
    operands: str
    operands_help: str


def parse(
    verb: Verb, arguments: Sequence[str], environ: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Return the settings and the operands of a verb, from canonical arguments."""
    parser = _parser(verb)
    given = parser.parse_args(arguments, env_vars={k: v for k, v in environ.items() if v})
    settings = Settings(
        **{
            row.name: _read(parser, row, text)
            for row in rows_of(verb.name)
            if (text := getattr(given, row.name)) is not None
        }
    )
    _check_risk(settings)
    return settings, given.operands


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
    camel = first + "".join(word.capitalize() for word in rest)
    return [name.replace("_", "-"), name, camel]


def _named(row: Setting, prefix: str = "") -> list[str]:
    return [s for name in (row.name, *row.spec.aliases) for s in _spellings(prefix + name)]


_KEYS = {name: row for row in TABLE.values() for name in _named(row)}
_SPELLINGS = {f"--{name}": row for name, row in _KEYS.items()} | {
    row.spec.short: row for row in TABLE.values() if row.spec.short
}
_NEGATIONS = {
    f"--{name}": row for row in TABLE.values() if row.is_switch for name in _named(row, "no_")
}


class _SettingsFile(configargparse.DefaultConfigFileParser):
    """Takes every spelling of every setting as a key, and skips what this verb does not take."""

    def __init__(self, verb: str) -> None:
        self._verb = verb

    def parse(self, stream: TextIO) -> Mapping[str, str | list[str]]:
        try:
            items = super().parse(stream)
        except UnicodeDecodeError as error:
            raise configargparse.ConfigFileParserException(f"{stream.name} is not UTF-8") from error
        return dict(filter(None, (self._item(stream.name, *item) for item in items.items())))

    def _item(self, file: str, key: str, value: str | list[str]) -> tuple[str, str] | None:
        row = _KEYS.get(key.removeprefix("--"))
        if row is None:
            raise configargparse.ConfigFileParserException(f"{file}: there is no setting {key!r}")
        text = value if isinstance(value, str) else ",".join(map(str, value))
        return (row.key, text) if text and self._verb in row.spec.verbs else None


class _Parser(configargparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        cause = sys.exception()
        if isinstance(cause, OSError):
            raise UsageError(f"{SETTINGS_FILE} {cause.filename}: {cause.strerror}", MISSING)
        raise UsageError(message)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows an option as `-x, --xx VALUE` on every Python, and a switch without its value."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = "" if action.nargs == "?" else f" {action.metavar}"
        return ", ".join(action.option_strings) + value


def _open(path: str) -> TextIO:
    return Path(path).open(encoding="utf-8")


def _parser(verb: Verb) -> _Parser:
    parser = _Parser(
        prog=f"{PROG} {verb.name}",
        usage=f"{PROG} {verb.name} [OPTION]… {verb.operands}…",
        description=verb.help,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        add_config_file_help=False,
        add_env_var_help=False,
        config_file_parser_class=_SettingsFile(verb.name),
        config_file_open_func=_open,
    )
    parser.add_argument("operands", metavar=verb.operands, nargs="+", help=verb.operands_help)
    _add_settings_file(parser)
    add_rows(parser, rows_of(verb.name))
    return parser


def _add_settings_file(parser: _Parser) -> None:
    parser.add_argument(
        SETTINGS_FILE,
        metavar="FILE",
        is_config_file=True,
        env_var="DSIEM_SETTINGS",
        help="file of settings [DSIEM_SETTINGS]",
    )


def add_rows(parser: argparse.ArgumentParser, rows: Sequence[Setting]) -> None:
    """Add an option a row to a parser, in the groups of the table."""
    groups: dict[str, Any] = {}
    for row in rows:
        group = row.spec.group
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        groups[group].add_argument(
            *filter(None, (row.spec.short, row.flag)),
            dest=row.name,
            env_var=row.env,
            metavar=values.metavar(row),
            nargs="?" if row.is_switch else None,
            help=_help(row),
        )


def _help(row: Setting) -> str:
    default = values.shown(row.default)
    text = f"{row.spec.help} [{row.env}, default {default or 'empty'}]"
    return text.replace("%", "%%")


def _read(parser: _Parser, row: Setting, text: str) -> Any:
    try:
        return values.read(row, text)
    except ValueError as error:
        wrong = f"{_origin(parser, row)} is {text!r}, should be {error}"
        raise UsageError(wrong) from error


def _origin(parser: _Parser, row: Setting) -> str:
    """Name a setting by where its value came from: the flag, or the variable, or the file."""
    for source, given in parser.get_source_to_settings_dict().items():
        if row.env in given:
            return f"{row.env} ({row.flag})"
        if row.key in given:
            return f"{row.key} in {source.partition('|')[2]} ({row.flag})"
    return row.flag


def _check_risk(settings: Settings) -> None:
    least, most = settings.med_risk_min, settings.med_risk_max
    if least >= most:
        raise UsageError(
            f"--med-risk-min (DSIEM_MEDRISKMIN) is {least} and --med-risk-max (DSIEM_MEDRISKMAX)"
            f" is {most}, should be 2 <= med-risk-min < med-risk-max <= 9"
        )
