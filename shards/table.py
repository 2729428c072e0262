"""The table of settings: what follows from each field of Settings by itself.

What may live here: flag, variable and key of a row, and which rows a verb takes. What may not:
any setting by name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from shards.settings import Settings
from shards.spec import Spec


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
