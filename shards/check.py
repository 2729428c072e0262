"""The --check of serve: what it would run with, and where that comes from; then the config folder.

What may live here: showing settings. What may not: reading them, or deciding what is right.
"""

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from shards import validate, values
from shards.advice import warnings
from shards.commandline import Origin, Parsed
from shards.logs import harmless
from shards.report import say
from shards.table import rows_of

_NOT_OF_THE_SERVICE = "report"
"""The group of the settings that say what to show here."""


class Effective(Struct, frozen=True):
    """A setting as it would be in force; a secret is masked."""

    name: str
    value: Any
    origin: Origin

    @property
    def line(self) -> str:
        """`name  value  source`, for people."""
        return harmless(f"{self.name:<20} {values.shown(self.value) or '-':<26} {self.origin}")

    @property
    def document(self) -> dict[str, Any]:
        """Value and source for machines."""
        value = str(self.value) if isinstance(self.value, Path) else self.value
        return {"value": value, "source": self.origin.kind, "where": self.origin.where}


def run(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Show settings, warnings and faults; return the exit code of validate for the folder."""
    effective = effective_settings(parsed)
    advice = warnings(parsed.settings, environ)
    if parsed.settings.format == "json":
        return _say_json(parsed, effective, advice)
    for setting in effective:
        say(setting.line)
    for text in advice:
        say(harmless(f"warning: {text}"))
    return _validate(parsed, "text")


def effective_settings(parsed: Parsed) -> list[Effective]:
    """Return the settings of the service, in the order of --help."""
    return [
        Effective(
            name=row.key,
            value=parsed.settings.shown(row.name),
            origin=parsed.origins[row.name],
        )
        for row in rows_of("serve")
        if row.spec.group != _NOT_OF_THE_SERVICE
    ]


def _say_json(parsed: Parsed, effective: list[Effective], advice: list[str]) -> int:
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = _validate(parsed, "json")
    document = {
        "settings": {setting.name: setting.document for setting in effective},
        "warnings": advice,
        "config": msgspec.Raw(printed.getvalue().encode()),
    }
    say(msgspec.json.format(msgspec.json.encode(document)).decode())
    return code


def _validate(parsed: Parsed, form: str) -> int:
    settings, folder = parsed.settings, parsed.settings.config_dir
    if folder.is_file():  # which validate would read, but serve would not
        folder /= "directives_*.json"
    return validate.run([folder], settings.lenient_directives, form)
