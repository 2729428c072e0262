"""`serve --check`: effective settings with their origins, then the faults of the config folder."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from shards.commands.terminal import print_json, print_line
from shards.commands.validate import ValidationResult, validate_paths
from shards.exit_codes import USAGE
from shards.safe_text import escape_control
from shards.settings.command_line import ParsedCommand
from shards.settings.schema import Origin, UsageError, format_value
from shards.settings.settings import Settings, settings_of
from shards.settings.validation import settings_warnings
from shards.supervisor.connection_settings import check_connections

_OUTPUT_GROUP = "output"
"""The group of settings that choose what is shown here; they are not listed."""


class EffectiveSetting(Struct, frozen=True):
    """A setting as it would apply, without its secrets."""

    name: str
    value: Any
    origin: Origin

    def __str__(self) -> str:
        """`name  value  origin`."""
        return escape_control(
            f"{self.name:<20} {format_value(self.value) or '-':<26} {self.origin}"
        )

    def as_document(self) -> dict[str, Any]:
        """The setting for programs."""
        value = str(self.value) if isinstance(self.value, Path) else self.value
        return {"value": value, "source": self.origin.kind, "where": self.origin.where}


def run(parsed: ParsedCommand, environ: Mapping[str, str]) -> int:
    """Print settings, warnings and faults.

    Returns the exit code of validate for the folder, or 3 if the service could not start.
    """
    effective = effective_settings(parsed)
    warnings = settings_warnings(parsed.settings, environ)
    fault = _fault_of_connections(parsed.settings, environ)
    config = _validate_folder(parsed)
    if parsed.settings.format == "json":
        document = {
            "settings": {setting.name: setting.as_document() for setting in effective},
            "warnings": warnings,
            "error": fault,
            "config": config.as_document(),
        }
        print_json(document)
    else:
        for setting in effective:
            print_line(str(setting))
        for text in warnings:
            print_line(escape_control(f"warning: {text}"))
        if fault:
            print_line(escape_control(f"error: {fault}"))
        config.print_text()
    return USAGE if fault else config.exit_code


def _fault_of_connections(settings: Settings, environ: Mapping[str, str]) -> str:
    try:
        check_connections(settings, environ)
    except UsageError as error:
        return str(error)
    return ""


def effective_settings(parsed: ParsedCommand) -> list[EffectiveSetting]:
    """The settings of the service, in the order of `--help`."""
    return [
        EffectiveSetting(
            name=setting.key,
            value=parsed.settings.redacted(setting.name),
            origin=parsed.origins[setting.name],
        )
        for setting in settings_of("serve")
        if setting.spec.group != _OUTPUT_GROUP
    ]


def _validate_folder(parsed: ParsedCommand) -> ValidationResult:
    settings, folder = parsed.settings, parsed.settings.config_dir
    with suppress(OSError):  # if it cannot be read, validate says so
        if folder.is_file():  # a path that validate would read and serve would not
            folder /= "directives_*.json"
    return validate_paths([folder], settings)
