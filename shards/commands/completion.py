"""The completion command: a script for a shell that completes commands, options and values.

The script is made from the parsers of the command line, so that it offers what they accept.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import shtab

from shards.commands.terminal import print_line
from shards.settings.command_line import Command, add_arguments
from shards.settings.schema import Setting
from shards.settings.settings import SETTINGS_TABLE, settings_of
from shards.settings.spellings import SETTINGS_FILE

_PATHS = {"file": shtab.FILE, "folder": shtab.DIRECTORY}


def run(shell: str, parser: argparse.ArgumentParser, commands: Iterable[Command]) -> int:
    """Print the script, and return the exit code.

    `parser`: that of the arguments before the command; it is changed.
    """
    _offer_values(parser, SETTINGS_TABLE.values())
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for command in commands:
        subparser = subparsers.add_parser(command.name, help=command.help)
        add_arguments(subparser, command)
        _offer_values(subparser, settings_of(command.name))
    print_line(shtab.complete(parser, shell))
    return 0


def _offer_values(parser: argparse.ArgumentParser, settings: Iterable[Setting]) -> None:
    """Set which values are offered for each option and operand."""
    by_name = {setting.name: setting for setting in settings}
    for action in parser._actions:  # argparse has no public list of them
        setting = by_name.get(action.dest)
        if setting is not None:
            action.choices = setting.choices or None
            action.nargs = 0 if setting.is_switch else None  # its value is seldom given
        path = _kind_of_path(action, setting)
        if path:
            setattr(action, "complete", _PATHS[path])  # noqa: B010 - an attribute of shtab's


def _kind_of_path(action: argparse.Action, setting: Setting | None) -> str:
    """Whether the value is a file or a folder; empty if it is no path."""
    if setting is not None:
        return setting.spec.path or ("file" if setting.type is Path else "")
    is_operand = action.dest == "operands" and not action.choices
    return "file" if is_operand or SETTINGS_FILE in action.option_strings else ""
