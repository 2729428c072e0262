"""Parses a command line: flag > environment variable > settings file > default."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

import configargparse
from msgspec import Struct

from shards.exit_codes import NO_PATH
from shards.settings.schema import (
    Origin,
    Setting,
    UsageError,
    format_value,
    metavar,
    parse_value,
)
from shards.settings.settings import Settings, settings_of
from shards.settings.spellings import SETTINGS_BY_KEY, SETTINGS_FILE, options_first
from shards.settings.validation import SETTINGS_VARIABLE, derive_settings, set_variables

PROG = "dsiem-backend"
_EPILOG = """\
A flag overrides its variable, a variable overrides the settings file, and the file overrides the
default. An empty variable counts as not set. A switch --x is turned off by --no-x or --x false. The
settings file has one setting per line, like `log-dir: /var/log/dsiem`.
"""


class Command(Struct, frozen=True):
    """The command line of one command, besides its settings.

    `operands`: their placeholder, "" when it has none; `choices`: those of its only operand;
    `instead`: flag of a setting that may stand for them.
    """

    name: str
    help: str
    operands: str = ""
    operands_help: str = ""
    choices: tuple[str, ...] = ()
    instead: str = ""

    @property
    def operand_count(self) -> int | str:
        """How many operands there may be, as argparse wants it."""
        if self.choices:
            return 1
        return "*" if self.instead else "+"


class ParsedCommand(Struct, frozen=True):
    """A parsed command line; `origins` has an origin for each setting of the command."""

    settings: Settings
    operands: list[str]
    origins: Mapping[str, Origin]


def parse_command(
    command: Command, arguments: Sequence[str], environ: Mapping[str, str]
) -> ParsedCommand:
    """The settings and operands of a command, from canonical arguments; UsageError if invalid."""
    parser = _make_parser(command)
    given = parser.parse_args(options_first(arguments), env_vars=set_variables(environ))
    settings = settings_of(command.name)
    variables = set_variables(environ)
    texts = {s: text for s in settings if (text := _given_text(s, given, variables)) is not None}
    origins = {s.name: _find_origin(parser, s) if s in texts else Origin() for s in settings}
    values = {s.name: _parse_setting(s, text, origins[s.name]) for s, text in texts.items()}
    derived, origins = derive_settings(Settings(**values), origins)
    return ParsedCommand(derived, getattr(given, "operands", []), origins)


def _given_text(
    setting: Setting, given: argparse.Namespace, variables: Mapping[str, str]
) -> str | None:
    """The text of a setting, None if it was not given."""
    if setting.spec.variable_only:
        return variables.get(setting.env)
    text: str | None = getattr(given, setting.name)
    return text


class _SettingsFileParser(configargparse.DefaultConfigFileParser):
    """Accepts every spelling of every setting as a key; skips settings of other commands."""

    def __init__(self, command: str) -> None:
        self._command = command

    def parse(self, stream: TextIO) -> Mapping[str, str | list[str]]:
        try:
            items = super().parse(stream)
        except UnicodeDecodeError as error:
            raise configargparse.ConfigFileParserException(f"{stream.name} is not UTF-8") from error
        return dict(filter(None, (self._item(stream.name, *item) for item in items.items())))

    def _item(self, file: str, key: str, value: str | list[str]) -> tuple[str, str] | None:
        setting = SETTINGS_BY_KEY.get(key.removeprefix("--"))
        if setting is None:
            raise configargparse.ConfigFileParserException(f"{file}: there is no setting {key!r}")
        text = value if isinstance(value, str) else ",".join(map(str, value))
        return (setting.key, text) if text and self._command in setting.spec.commands else None


class _Parser(configargparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        cause = sys.exception()
        if isinstance(cause, OSError):
            raise UsageError(f"{SETTINGS_FILE} {cause.filename}: {cause.strerror}", NO_PATH)
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


def _make_parser(command: Command) -> _Parser:
    operands = [f"{command.operands}…"] if command.operands else []
    if command.choices:
        operands = ["|".join(command.choices)]
    if command.instead:
        operands = [f"{command.operands}…|{command.instead} …"]
    parser = _Parser(
        prog=f"{PROG} {command.name}",
        usage=" ".join([PROG, command.name, "[OPTION]…", *operands]),
        description=command.help,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        add_config_file_help=False,
        add_env_var_help=False,
        config_file_parser_class=_SettingsFileParser(command.name),
        config_file_open_func=_open,
    )
    add_arguments(parser, command)
    return parser


def add_arguments(parser: argparse.ArgumentParser, command: Command) -> None:
    """Add the operands and settings of a command to a parser."""
    if command.operands:
        parser.add_argument(
            "operands",
            metavar=command.operands,
            nargs=command.operand_count,
            choices=command.choices or None,
            help=command.operands_help,
        )
    parser.add_argument(
        SETTINGS_FILE,
        metavar="FILE",
        is_config_file=True,
        env_var=SETTINGS_VARIABLE,
        help=f"settings file [{SETTINGS_VARIABLE}]",
    )
    add_settings(parser, settings_of(command.name))


def add_settings(parser: argparse.ArgumentParser, settings: Sequence[Setting]) -> None:
    """Add an option for each setting to a parser, in their groups."""
    groups: dict[str, Any] = {}
    for setting in settings:
        if setting.spec.variable_only:
            continue
        group = setting.spec.group
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        groups[group].add_argument(
            *filter(None, (setting.spec.short, setting.flag)),
            dest=setting.name,
            env_var=setting.env,
            metavar=metavar(setting),
            nargs="?" if setting.is_switch else None,
            help=_help(setting),
        )


def _help(setting: Setting) -> str:
    default = format_value(setting.default)
    text = f"{setting.spec.help} [{setting.env}, default {default or 'empty'}]"
    return text.replace("%", "%%")


def _parse_setting(setting: Setting, text: str, origin: Origin) -> Any:
    try:
        return parse_value(setting, text)
    except ValueError as error:
        name, shown = origin.name_of(setting), setting.spec.redact(text)
        raise UsageError(f"{name} is {shown!r}, should be {error}") from error


def _find_origin(parser: _Parser, setting: Setting) -> Origin:
    """Where the value of a setting that was given comes from."""
    if setting.spec.variable_only:
        return Origin("variable", setting.env)
    for source, given in parser.get_source_to_settings_dict().items():
        if setting.env in given:
            return Origin("variable", setting.env)
        if setting.key in given:
            return Origin("file", source.partition("|")[2])
    return Origin("flag", setting.flag)
