"""Every setting, once: its name, type, default, flag, variable and help.

What may live here: the table, and what follows from a row by itself. What may not: reading
the command line, the environment or a file (commandline.py), and what a setting does.
A new setting is a new field of Settings; flag, variable, file key and help follow from it.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

REPLAY = frozenset({"replay"})
EVERY_VERB = REPLAY | {"validate"}


class Spec(Struct, frozen=True, kw_only=True):
    """What a field's type and default do not say; an unnamed variable is DSIEM_ + the flag."""

    group: str
    help: str
    verbs: frozenset[str] = REPLAY
    short: str = ""
    aliases: tuple[str, ...] = ()
    env: str = ""
    at_least: int | None = None
    at_most: int | None = None


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one process; every field is a row of the table."""

    config_dir: Annotated[
        Path,
        Spec(group="files", help="folder of the assets and directives"),
    ] = Path("./configs")
    log_dir: Annotated[
        Path,
        Spec(group="files", help="folder of the alarm files, made if missing"),
    ] = Path("./logs")

    node: Annotated[
        str,
        Spec(group="correlation", help="name of this node, part of every alarm id", short="-n"),
    ] = ""
    lenient_directives: Annotated[
        bool,
        Spec(
            group="correlation",
            help="repair or leave out faulty directives, with a warning each",
            verbs=EVERY_VERB,
        ),
    ] = False
    match_protocol: Annotated[
        bool,
        Spec(group="correlation", help="compare the protocol of rules and events"),
    ] = False
    min_alarm_lifetime: Annotated[
        int,
        Spec(
            group="correlation",
            help="minutes that a stage stays open beyond its timeout",
            short="-l",
            env="DSIEM_MINALARMLIFETIME",
            at_least=0,
        ),
    ] = 0

    med_risk_min: Annotated[
        int,
        Spec(
            group="alarms",
            help="lowest risk that is Medium",
            env="DSIEM_MEDRISKMIN",
            at_least=2,
            at_most=8,
        ),
    ] = 3
    med_risk_max: Annotated[
        int,
        Spec(
            group="alarms",
            help="highest risk that is Medium",
            env="DSIEM_MEDRISKMAX",
            at_least=3,
            at_most=9,
        ),
    ] = 6
    status: Annotated[
        tuple[str, ...],
        Spec(group="alarms", help="the statuses of alarms, that of a new one first", short="-s"),
    ] = ("Open", "In-Progress", "Closed")
    tags: Annotated[
        tuple[str, ...],
        Spec(group="alarms", help="the tags of alarms, that of a new one first", short="-t"),
    ] = ("Identified Threat", "False Positive", "Valid Threat", "Security Incident")

    format: Annotated[
        Literal["text", "json"],
        Spec(group="report", help="for people or for machines", verbs=EVERY_VERB),
    ] = "text"
    alarms: Annotated[
        bool,
        Spec(group="report", help="show the alarms as a table at the end"),
    ] = False

    debug: Annotated[
        bool,
        Spec(group="logging", help="log details", short="-v", verbs=EVERY_VERB),
    ] = False
    trace: Annotated[
        bool,
        Spec(group="logging", help="log every detail", short="-vv", verbs=EVERY_VERB),
    ] = False
    json: Annotated[
        bool,
        Spec(group="logging", help="log as JSON, an object a line", short="-j", verbs=EVERY_VERB),
    ] = False


class Setting(Struct, frozen=True, kw_only=True):
    """A row of the table: a field of Settings with its Spec."""

    name: str
    kind: Any  # int, bool, str, Path, tuple or Literal
    choices: tuple[str, ...]
    default: Any
    spec: Spec

    @property
    def flag(self) -> str:
        """Return the spelling of --help."""
        return "--" + self.name.replace("_", "-")

    @property
    def key(self) -> str:
        """Return the key in a settings file."""
        return self.flag.removeprefix("--")

    @property
    def env(self) -> str:
        """Return the environment variable."""
        return self.spec.env or "DSIEM_" + self.name.upper()

    @property
    def is_switch(self) -> bool:
        """Tell whether the flag alone means true."""
        return self.kind is bool


def _table() -> Mapping[str, Setting]:
    rows = {}
    for field in fields(Settings):
        kind, spec = get_args(field.type)
        rows[field.name] = Setting(
            name=field.name,
            kind=get_origin(kind) or kind,
            choices=get_args(kind) if get_origin(kind) is Literal else (),
            default=field.default,
            spec=spec,
        )
    return MappingProxyType(rows)


TABLE: Mapping[str, Setting] = _table()


def rows_of(verb: str) -> list[Setting]:
    """Return the settings that a verb takes, in the order of the table."""
    return [row for row in TABLE.values() if verb in row.spec.verbs]
