"""How a setting is described, and how its text is parsed, checked and shown."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import FieldInfo, fields, replace

from shards.exit_codes import USAGE
from shards.safe_text import redact_url

SERVE = frozenset({"serve"})
TOP = frozenset({"top"})
VALIDATE = frozenset({"validate"})
REPLAY = frozenset({"replay"})
EXPLAIN = frozenset({"explain"})
TEST = frozenset({"test"})
CONVERT = frozenset({"convert"})
DIFF = frozenset({"diff"})
STATS = frozenset({"stats"})
DEMO = frozenset({"demo"})
RECORDINGS = REPLAY | EXPLAIN | DIFF | STATS
"""Commands that read recorded events."""
CORRELATING = RECORDINGS | TEST | SERVE
CHECKING = CORRELATING | VALIDATE
CONFIGURED = REPLAY | EXPLAIN | STATS | SERVE
"""Commands with one config folder."""
EVERY_COMMAND = CHECKING | TOP | CONVERT | DEMO | frozenset({"schema", "completion"})
GROUPS = (
    "service",
    "cluster",
    "HTTP",
    "correlation",
    "alarms",
    "limits",
    "lookups",
    "ops",
    "telemetry",
    "files",
    "Elasticsearch",
    "selection",
    "output",
    "logging",
)
"""The groups of settings, in the order in which they are shown."""
BOOLEANS: Mapping[str, bool] = {
    "true": True,
    "t": True,
    "1": True,
    "false": False,
    "f": False,
    "0": False,
}
URL = r"https?://\S+"
OPTIONAL_URL = rf"({URL})?"
EVENT_LINK_EXAMPLE = "https://kibana:5601/app/discover#/doc/{event_id}"
EVENT_LINK = (
    r"(https?://([^\s{}]|\{(alarm_id|time)\})*\{event_id\}([^\s{}]|\{(event_id|alarm_id|time)\})*)?"
)
"""Patterns of settings."""
REDACTED = "***"
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class UsageError(Exception):
    """A wrong command line, variable or settings file; the text is for the user, in one line."""

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Spec(Struct, frozen=True):
    """The properties of a setting that its type and default do not express.

    `commands` that take it; `env`: its variable without DSIEM_, by default the name in capitals;
    `pattern`: a regular expression for the whole text, and `expected` the same in words;
    `secret`: "all" of the value, or the "login" in a URL; `choices_of`: those of a command, if it
    has not all of them, and `other_choices` those of all commands that are not named there; `path`:
    what a path leads to, for completion, by default a file if the type is Path. `variable_only`: it
    has no flag and no key: a list of processes or a file is for more eyes than a variable.
    """

    group: str
    help: str
    commands: frozenset[str] = SERVE
    short: str = ""
    aliases: tuple[str, ...] = ()
    env: str = ""
    low: int = 0
    high: int | None = None
    pattern: str = ""
    expected: str = ""
    secret: Literal["", "login", "all"] = ""
    choices_of: tuple[tuple[str, tuple[str, ...]], ...] = ()
    other_choices: tuple[str, ...] = ()
    path: Literal["", "file", "folder"] = ""
    variable_only: bool = False

    def redact(self, value: Any) -> Any:
        """A value of the setting without its secrets."""
        if not (self.secret and value):
            return value
        return REDACTED if self.secret == "all" else redact_url(value)


def url_spec(group: str, text: str, example: str, **more: Any) -> Spec:
    """The Spec of a URL whose login is secret."""
    spec = {"pattern": URL, "secret": "login", "expected": f"a URL like {example}", **more}
    return Spec(group, text, **spec)


class Setting(Struct, frozen=True, kw_only=True):
    """A field of Settings with its Spec; `type` is int, bool, str, Path, tuple or Literal."""

    name: str
    type: Any
    choices: tuple[str, ...]
    default: Any
    spec: Spec

    @property
    def flag(self) -> str:
        """Its flag, as `--help` spells it."""
        return "--" + self.name.rstrip("_").replace("_", "-")

    @property
    def key(self) -> str:
        """Its key in a settings file."""
        return self.flag.removeprefix("--")

    @property
    def env(self) -> str:
        """Its environment variable."""
        return "DSIEM_" + (self.spec.env or self.name.upper())

    def for_command(self, command: str) -> "Setting":
        """The setting with the choices that it has for a command."""
        choices = dict(self.spec.choices_of).get(command, self.spec.other_choices)
        return replace(self, choices=choices) if choices else self

    @property
    def is_switch(self) -> bool:
        """Whether the flag alone means true."""
        return self.type is bool


def _group_position(field: FieldInfo) -> int:
    return GROUPS.index(get_args(field.type)[1].group)


def read_settings(struct: type[Struct]) -> Mapping[str, Setting]:
    """The settings by name, from a Struct whose fields are `Annotated[type, Spec]`, by group."""
    settings = {}
    for field in sorted(fields(struct), key=_group_position):
        type_, spec = get_args(field.type)
        settings[field.name] = Setting(
            name=field.name,
            type=get_origin(type_) or type_,
            choices=_choices(type_),
            default=field.default,
            spec=spec,
        )
    return MappingProxyType(settings)


def _choices(type_: Any) -> tuple[str, ...]:
    """The values that a Literal has, or the items of a tuple of one; else none."""
    if get_origin(type_) is tuple:
        type_ = get_args(type_)[0]
    return get_args(type_) if get_origin(type_) is Literal else ()


class Origin(Struct, frozen=True):
    """Where the value of a setting comes from.

    `where`: the flag, the variable, the path of the file, or the cause of a derived value.
    """

    kind: Literal["flag", "variable", "file", "default", "derived"] = "default"
    where: str = ""

    def __str__(self) -> str:
        """The origin in words."""
        kind = "derived from" if self.kind == "derived" else self.kind
        return f"{kind} {self.where}".rstrip()

    def name_of(self, setting: Setting) -> str:
        """The setting as the user wrote it: the flag, the variable, or the key and its file."""
        if self.kind == "variable":
            return setting.env if setting.spec.variable_only else f"{setting.env} ({setting.flag})"
        if self.kind == "file":
            return f"{setting.key} in {self.where} ({setting.flag})"
        return setting.flag


def parse_value(setting: Setting, text: str) -> Any:
    """The value of a setting's text; ValueError says what would be right."""
    value = _PARSERS[setting.type](setting, text)
    if value is None:
        raise ValueError(describe_expected(setting))
    return value


def parse_time(text: str) -> datetime:
    """A time of a setting as UTC, which it is unless it says otherwise; ValueError."""
    time = datetime.fromisoformat(text)
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:  # in the first or the last hours that there are
        raise ValueError("it is out of range in UTC") from error


def format_value(value: object) -> str:
    """A value as one would write it."""
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe_expected(setting: Setting) -> str:
    """The values that a setting accepts, in words."""
    if setting.type is int:
        return "a whole number" + _describe_range(setting.spec)
    return (
        setting.spec.expected
        or {
            bool: "true or false",
            str: "a text",
            Path: "a path",
            tuple: _describe_list(setting),
            Literal: " or ".join(setting.choices),
        }[setting.type]
    )


def metavar(setting: Setting) -> str:
    """The placeholder for the value in `--help`."""
    return {
        int: "N",
        str: "TEXT",
        Path: "PATH",
        tuple: f"{'|'.join(setting.choices) or 'TEXT'},…",
        Literal: "|".join(setting.choices),
    }.get(setting.type, "")


def _describe_list(setting: Setting) -> str:
    items = f"of {', '.join(setting.choices)}" if setting.choices else "texts"
    return f"one or more {items} with commas between them"


def _describe_range(spec: Spec) -> str:
    return f" from {spec.low} " + ("up" if spec.high is None else f"to {spec.high}")


def _parse_int(setting: Setting, text: str) -> int | None:
    value = int(text) if _WHOLE_NUMBER.fullmatch(text) else None
    least, most = setting.spec.low, setting.spec.high
    if value is None or value < least or (most is not None and value > most):
        return None
    return value


def _parse_text(setting: Setting, text: str) -> str | None:
    pattern = setting.spec.pattern
    return None if pattern and not re.fullmatch(pattern, text) else text


def _parse_list(setting: Setting, text: str) -> tuple[str, ...] | None:
    items = tuple(item for part in text.split(",") if (item := part.strip()))
    if setting.choices and not set(items) <= set(setting.choices):
        return None
    return items or None


def _parse_choice(setting: Setting, text: str) -> str | None:
    return text if text in setting.choices else None


_PARSERS: Mapping[Any, Callable[[Setting, str], Any]] = {
    bool: lambda _, text: BOOLEANS.get(text.lower()),
    int: _parse_int,
    str: _parse_text,
    Path: lambda _, text: Path(text) if text else None,
    tuple: _parse_list,
    Literal: _parse_choice,
}
