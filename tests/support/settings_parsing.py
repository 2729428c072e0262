"""Settings parsed from arguments and variables, as tests need them."""

import pytest

from shards.exit_codes import USAGE
from shards.settings.command_line import Command, parse_command
from shards.settings.schema import UsageError
from shards.settings.settings import Settings, settings_of
from shards.settings.spellings import canonical_arguments

REPLAY = Command("replay", "help", "EVENTS", "help")


VALIDATE = Command("validate", "help", "PATH", "help")


SERVE = Command("serve", "help")


def settings(*arguments: str, command: Command = REPLAY, **environ: str) -> Settings:
    """Return what the arguments and variables give, with one operand that is not looked at."""
    operands = ["operand"] if command.operands else []
    parsed = parse_command(command, canonical_arguments([*arguments, *operands]), environ)
    assert parsed.operands == operands
    return parsed.settings


def serve(*arguments: str, **environ: str) -> Settings:
    """Return the same for serve."""
    return settings(*arguments, command=SERVE, **environ)


def origins(*arguments: str, **environ: str) -> dict[str, str]:
    """Return where each setting of serve that is not a default came from, in words."""
    parsed = parse_command(SERVE, canonical_arguments(arguments), environ)
    assert list(parsed.origins) == [row.name for row in settings_of("serve")]
    found = {name: str(origin) for name, origin in parsed.origins.items()}
    return {name: words for name, words in found.items() if words != "default"}


def fault(*arguments: str, command: Command = REPLAY, **environ: str) -> str:
    """Return the text of the usage error that the arguments and variables must give."""
    with pytest.raises(UsageError) as caught:
        settings(*arguments, command=command, **environ)
    assert caught.value.exit_code == USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)
