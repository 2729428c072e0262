"""From flags, environment and settings file to Settings: flag > variable > file > default.

What may live here: reading those three, for any verb. What may not: the settings themselves
(settings.py, values.py), their spellings (spelling.py), and what a verb does (cli.py).
"""

import argparse
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TextIO

import configargparse
from msgspec import Struct
from msgspec.structs import replace

from shards import values
from shards.environment import SETTINGS_VARIABLE, meant
from shards.settings import Settings
from shards.spelling import KEYS
from shards.table import Setting, rows_of

PROG = "dsiem-backend"
SETTINGS_FILE = "--settings"
USAGE, MISSING = 3, 2
_ORDINAL = re.compile(r"-([0-9]{1,6})$")
"""Of a StatefulSet's pod."""

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
    operands: str = ""  # none of them
    operands_help: str = ""


class Origin(Struct, frozen=True):
    """Where the value of a setting came from."""

    kind: Literal["flag", "variable", "file", "default", "derived"] = "default"
    where: str = ""
    """The flag, the variable, the path of the file; of what is derived, the flag of its cause."""

    def __str__(self) -> str:
        """Return it in words."""
        kind = "derived from" if self.kind == "derived" else self.kind
        return f"{kind} {self.where}".rstrip()

    def name(self, row: Setting) -> str:
        """Return how the user knows the setting."""
        if self.kind == "variable":
            return f"{row.env} ({row.flag})"
        return f"{row.key} in {self.where} ({row.flag})" if self.kind == "file" else row.flag


class Parsed(Struct, frozen=True):
    """What a command line comes to; an origin for each setting of the verb."""

    settings: Settings
    operands: list[str]
    origins: Mapping[str, Origin]


def parse(verb: Verb, arguments: Sequence[str], environ: Mapping[str, str]) -> Parsed:
    """Return the settings and the operands of a verb, from canonical arguments."""
    parser = _parser(verb)
    given = parser.parse_args(arguments, env_vars=meant(environ))
    rows = rows_of(verb.name)
    texts = {row: text for row in rows if (text := getattr(given, row.name)) is not None}
    origins = {row.name: _origin(parser, row) if row in texts else Origin() for row in rows}
    found = {row.name: _read(row, text, origins[row.name]) for row, text in texts.items()}
    settings = Settings(**found)
    _check_risk(settings)
    if "mode" in origins:
        settings, origins["mode"] = _with_mode(settings, origins)
        _check_node(settings, origins["mode"])
        settings, origins["cluster_index"] = _with_index(settings, origins["cluster_index"])
    return Parsed(settings, getattr(given, "operands", []), origins)


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
        row = KEYS.get(key.removeprefix("--"))
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
    operands = [f"{verb.operands}…"] if verb.operands else []
    parser = _Parser(
        prog=f"{PROG} {verb.name}",
        usage=" ".join([PROG, verb.name, "[OPTION]…", *operands]),
        description=verb.help,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        add_config_file_help=False,
        add_env_var_help=False,
        config_file_parser_class=_SettingsFile(verb.name),
        config_file_open_func=_open,
    )
    if verb.operands:
        parser.add_argument("operands", metavar=verb.operands, nargs="+", help=verb.operands_help)
    _add_settings_file(parser)
    add_rows(parser, rows_of(verb.name))
    return parser


def _add_settings_file(parser: _Parser) -> None:
    parser.add_argument(
        SETTINGS_FILE,
        metavar="FILE",
        is_config_file=True,
        env_var=SETTINGS_VARIABLE,
        help=f"file of settings [{SETTINGS_VARIABLE}]",
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


def _read(row: Setting, text: str, origin: Origin) -> Any:
    try:
        return values.read(row, text)
    except ValueError as error:
        wrong = f"{origin.name(row)} is {row.spec.masked(text)!r}, should be {error}"
        raise UsageError(wrong) from error


def _origin(parser: _Parser, row: Setting) -> Origin:
    """Tell where the value of a setting that was given came from."""
    for source, given in parser.get_source_to_settings_dict().items():
        if row.env in given:
            return Origin("variable", row.env)
        if row.key in given:
            return Origin("file", source.partition("|")[2])
    return Origin("flag", row.flag)


def _check_risk(settings: Settings) -> None:
    least, most = settings.med_risk_min, settings.med_risk_max
    if least >= most:
        raise UsageError(
            f"--med-risk-min (DSIEM_MEDRISKMIN) is {least} and --med-risk-max (DSIEM_MEDRISKMAX)"
            f" is {most}, should be 2 <= med-risk-min < med-risk-max <= 9"
        )


def _with_mode(settings: Settings, origins: Mapping[str, Origin]) -> tuple[Settings, Origin]:
    """Settle the mode: as given, else by whether anything of a cluster was given."""
    if origins["mode"].kind == "default":
        for name in ("frontend", "node", "msq"):
            if origins[name].kind != "default" and getattr(settings, name):
                return replace(settings, mode="cluster-backend"), Origin("derived", f"--{name}")
    return settings, origins["mode"]


def _check_node(settings: Settings, origin: Origin) -> None:
    if settings.mode == "cluster-backend" and not settings.node:
        raise UsageError(
            f"--node (DSIEM_NODE) is empty, should be the name of this node: the mode is"
            f" cluster-backend ({origin})"
        )


def _with_index(settings: Settings, origin: Origin) -> tuple[Settings, Origin]:
    """Settle which of the services of a node this is: as given, else by the host name."""
    host = socket.gethostname()
    ordinal = _ORDINAL.search(host)
    if settings.cluster_size > 1 and not settings.cluster_index and ordinal:
        settings = replace(settings, cluster_index=ordinal[1])
        origin = Origin("derived", f"the host name {host}")
    if settings.cluster_size > 1 and not settings.cluster_index:
        raise UsageError(
            "--cluster-index (DSIEM_CLUSTER_INDEX) is empty, should be a whole number from 0, since"
            f" --cluster-size is {settings.cluster_size}, and the host name {host} does not end in"
            " a hyphen and a number"
        )
    if settings.part >= settings.cluster_size:
        raise UsageError(
            f"--cluster-index (DSIEM_CLUSTER_INDEX) is {settings.part} ({origin}), should be less"
            f" than --cluster-size (DSIEM_CLUSTER_SIZE), {settings.cluster_size}: there are more"
            " services than parts of the directives, so this one would have nothing to do"
        )
    return settings, origin
