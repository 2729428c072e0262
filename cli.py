"""The command dsiem-backend: parses and dispatches, nothing more.

What may live here: the verbs, and which function of shards/ runs each. What may not: work.
A verb's module is imported when the verb is run, so that --help is quick.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from shards import commandline
from shards.commandline import PROG, USAGE, Parsed, UsageError, Verb
from shards.spelling import canonical
from shards.table import TABLE

INTERRUPTED = 130  # as a shell reports SIGINT
BROKEN_PIPE = 141  # as a shell reports SIGPIPE


def _validate(parsed: Parsed) -> int:
    from shards import validate

    settings, paths = parsed.settings, [Path(path) for path in parsed.operands]
    return validate.run(paths, settings.lenient_directives, settings.format)


def _replay(parsed: Parsed) -> int:
    from shards import replay

    return replay.run(parsed.settings, parsed.operands, parsed.settings.alarms)


def _serve(parsed: Parsed) -> int:
    if parsed.settings.check:
        from shards import check

        return check.run(parsed, os.environ)
    from shards import stopping

    try:
        stopping.heed_at_once()
        return _started(parsed)
    except stopping.Stopped:
        return 0


def _started(parsed: Parsed) -> int:
    from loguru import logger

    from shards import temporary

    temporary.ensure(parsed.settings.log_dir)
    from shards import advice, startup

    for text in advice.warnings(parsed.settings, os.environ):
        logger.warning(text)
    return startup.run(parsed.settings)


def _top(parsed: Parsed) -> int:
    from shards import top

    return top.run(parsed.settings)


VERBS: Mapping[Verb, Callable[[Parsed], int]] = {
    Verb(
        "validate",
        "Check configuration files, and name every fault in them.",
        "PATH",
        "configuration file, or folder of them",
    ): _validate,
    Verb(
        "replay",
        "Correlate recorded events, with their own times as the clock.",
        "EVENTS",
        "file of events, one JSON object a line, may be .gz; - is standard input",
    ): _replay,
    Verb("top", "Show how a running service does: shards, ledger, latest alarms."): _top,
    Verb("serve", "Correlate events as they come, on all CPUs, until told to stop."): _serve,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code: 0, 1 content, 2 path, 3 usage."""
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv, os.environ)
        finally:
            sys.stdout.flush()  # here, where a broken pipe can still be caught
    except UsageError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # What is still buffered for stdout would fail once more at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    arguments = canonical(argv)
    at = next((i for i, word in enumerate(arguments) if not word.startswith("-")), len(arguments))
    before, words = arguments[:at], arguments[at:]
    top = _top_parser()
    if top.parse_args(before).version:
        from shards.version import version

        print(PROG, version())
        return 0
    if not words:
        top.print_help(sys.stderr)
        return USAGE
    return _dispatch(words[0], before + words[1:], environ)


def _dispatch(name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    for verb, run in VERBS.items():
        if verb.name == name:
            from shards import logs

            parsed = commandline.parse(verb, arguments, environ)
            logs.setup(parsed.settings)
            return run(parsed)
    known = ", ".join(verb.name for verb in VERBS)
    raise UsageError(f"there is no verb {name!r}, only {known}")


class _TopParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _top_parser() -> _TopParser:
    """Make the parser of what stands before the verb."""
    parser = _TopParser(
        prog=PROG,
        usage=f"{PROG} [OPTION]… VERB …",
        description="Correlate security events into alarms.",
        epilog="verbs:\n"
        + "".join(f"  {verb.name:<12}{verb.help}\n" for verb in VERBS)
        + f"\n{PROG} VERB --help shows the settings of a verb.",
        formatter_class=commandline.HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commandline.add_rows(parser, [r for r in TABLE.values() if r.spec.group == "logging"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
