"""The command dsiem-backend: parses the command line and runs a command.

The module of a command is imported when the command is run, so that `--help` is quick.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from shards.exit_codes import BROKEN_PIPE, INTERRUPTED, USAGE
from shards.settings.command_line import (
    PROG,
    Command,
    HelpFormatter,
    ParsedCommand,
    add_settings,
    parse_command,
)
from shards.settings.schema import UsageError
from shards.settings.settings import SETTINGS_TABLE
from shards.settings.spellings import canonical_arguments


def _command(module: str) -> Callable[[ParsedCommand], int]:
    """What runs a command of shards/commands/ that takes its settings and operands."""

    def run(parsed: ParsedCommand) -> int:
        command: Any = import_module(f"shards.commands.{module}")
        return int(command.run(parsed.settings, parsed.operands))

    return run


def _validate(parsed: ParsedCommand) -> int:
    from shards.commands import validate

    return validate.run([Path(path) for path in parsed.operands], parsed.settings)


def _replay(parsed: ParsedCommand) -> int:
    from shards.bootstrap import keep_new_files_from_others
    from shards.commands import replay

    keep_new_files_from_others()
    return replay.run(parsed.settings, parsed.operands, parsed.settings.alarms)


def _schema(parsed: ParsedCommand) -> int:
    from shards.commands import schema

    return schema.run(parsed.operands[0])


def _completion(parsed: ParsedCommand) -> int:
    from shards.commands import completion

    return completion.run(parsed.operands[0], _make_parser(), COMMANDS)


def _top(parsed: ParsedCommand) -> int:
    from shards.commands import top

    return top.run(parsed.settings)


def _serve(parsed: ParsedCommand) -> int:
    if parsed.settings.check:
        from shards.commands import serve_check

        return serve_check.run(parsed, os.environ)
    from shards import bootstrap

    try:
        bootstrap.interrupt_start_on_signal()
        bootstrap.keep_new_files_from_others()
        return _start_service(parsed)
    except bootstrap.StartInterrupted:
        return 0


def _start_service(parsed: ParsedCommand) -> int:
    from loguru import logger

    from shards.bootstrap import ensure_temporary_folder

    ensure_temporary_folder(parsed.settings.log_dir)  # which the following imports need
    from shards.ipc.preload import import_modules, modules_of_children, shared_modules

    import_modules(shared_modules(parsed.settings))
    from shards.ipc.forked_process import ForkServer

    with ForkServer(modules_of_children(parsed.settings), fork=True) as fork_server:
        from shards.settings.validation import settings_warnings
        from shards.supervisor import startup

        for text in settings_warnings(parsed.settings, os.environ):
            logger.warning(text)
        return startup.run(parsed.settings, fork_server, parsed.origins)


COMMANDS: Mapping[Command, Callable[[ParsedCommand], int]] = {
    Command(
        "validate",
        "Check configuration files and report every fault.",
        "PATH",
        "configuration file, or folder of configuration files",
    ): _validate,
    Command(
        "replay",
        "Correlate recorded events; their timestamps are the clock.",
        "EVENTS",
        "file of events in JSON, as lines or an array, plain, .gz or .zst; - is standard input; "
        "none with --elasticsearch",
        instead="--elasticsearch",
    ): _replay,
    Command(
        "explain",
        "Say what became of recorded events, and why a directive did not fire.",
        "EVENTS",
        "file of events as for replay; - is standard input; none with --elasticsearch",
        instead="--elasticsearch",
    ): _command("explain"),
    Command(
        "test",
        "Run tests of directives, or record one.",
        "PATH",
        "file of tests (*_test.yaml), or folder of tests beside their directives",
    ): _command("test"),
    Command(
        "schema",
        "Print the JSON Schema of a kind of file, for editors.",
        "NAME",
        "kind of file: directives, assets, intel, vuln or tests",
        choices=("directives", "assets", "intel", "vuln", "tests"),
    ): _schema,
    Command(
        "completion",
        "Print the completion of this command line for a shell.",
        "SHELL",
        "bash, zsh or fish",
        choices=("bash", "zsh", "fish"),
    ): _completion,
    Command(
        "diff",
        "Correlate recorded events with two config folders, and show how the alarms differ.",
        "OLD NEW EVENTS",
        "two config folders, and recorded events as for replay, none with --elasticsearch",
    ): _command("diff"),
    Command(
        "stats",
        "Count what each directive makes of recorded events, and the events that none is for.",
        "EVENTS",
        "recorded events as for replay, none with --elasticsearch",
        instead="--elasticsearch",
    ): _command("stats"),
    Command(
        "convert",
        "Convert directives of another product, to standard output.",
        "FORMAT FILE",
        "ossim, and files of OSSIM (AlienVault) directives in XML",
    ): _command("convert"),
    Command(
        "demo", "Show alarms of an example company in the terminal and in the console."
    ): _command("demo"),
    Command("top", "Show the state of a running service: shards, ledger, latest alarms."): _top,
    Command(
        "serve", "Correlate events as they arrive, one process per worker, until stopped."
    ): _serve,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code.

    0 is success, 1 wrong content, 2 a path that is missing or unreadable, 3 wrong usage.
    """
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv, os.environ)
        finally:
            sys.stdout.flush()  # here, where a broken pipe can still be caught
    except UsageError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The interpreter's exit would flush stdout again, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    arguments = canonical_arguments(argv)
    flags = list(takewhile(lambda argument: argument.startswith("-"), arguments))
    command_line = arguments[len(flags) :]
    parser = _make_parser()
    if parser.parse_args(flags).version:
        from shards.version import version_lines

        print(PROG, "\n".join(version_lines()))
        return 0
    if not command_line:
        parser.print_help(sys.stderr)
        return USAGE
    return _dispatch(command_line[0], flags + command_line[1:], environ)


def _dispatch(name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    for command, run in COMMANDS.items():
        if command.name == name:
            from shards.logs import configure_logging

            parsed = parse_command(command, arguments, environ)
            configure_logging(parsed.settings.log_level, as_json=parsed.settings.json)
            return run(parsed)
    *others, last = (command.name for command in COMMANDS)
    raise UsageError(f"the command is {name!r}, should be {', '.join(others)} or {last}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (the settings of a command follow its name)")


def _make_parser() -> _Parser:
    """The parser of the arguments before the command."""
    parser = _Parser(
        prog=PROG,
        usage=f"{PROG} [OPTION]… COMMAND …",
        description="Correlate security events into alarms.",
        epilog="commands:\n"
        + "".join(f"  {command.name:<12}{command.help}\n" for command in COMMANDS)
        + f"\n{PROG} COMMAND --help shows the settings of a command.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    add_settings(parser, [s for s in SETTINGS_TABLE.values() if s.spec.group == "logging"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
