"""The convert command: directives of another product to stdout, and a report to stderr."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shards.commands.terminal import counted, print_error, print_json
from shards.config.problem import MAX_LISTED, ProblemList
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
from shards.ossim.conversion import Converter
from shards.settings.schema import UsageError
from shards.settings.settings import Settings

FORMATS = ("ossim",)
"""The formats that can be converted."""


def run(settings: Settings, operands: Sequence[str]) -> int:
    """Convert files and return the exit code: 0; 1 if anything was left out; 2 for a path."""
    format_, *files = operands
    if format_ not in FORMATS:
        raise UsageError(f"the format is {format_!r}, should be {' or '.join(FORMATS)}")
    if not files:
        raise UsageError(f"convert {format_} needs one file or more")
    converter = Converter(ProblemList(None if settings.all else MAX_LISTED))
    unreadable = []
    for file in files:
        try:
            converter.convert_file(Path(file))
        except PathError as error:
            unreadable.append(str(error))
    print_json({"directives": converter.directives})
    if settings.format == "json":
        _print_json_report(converter, unreadable)
    else:
        _print_report(converter, unreadable)
    return NO_PATH if unreadable else INVALID if converter.problems.faults else 0


def _print_report(converter: Converter, unreadable: Sequence[str]) -> None:
    problems, counts = converter.problems, converter.counts
    for problem in problems.listed:
        print_error(str(problem))
    if more := len(problems) - len(problems.listed):
        print_error(f"{more:,} more problems are not listed here; --all lists all")
    for message in unreadable:
        print_error(message)
    print_error(
        f"{counted(counts.read, 'OSSIM directive')}: {counts.left_out:,} left out, "
        f"{counts.cut:,} only in part; {counted(counts.written, 'directive')} written: "
        f"{counted(problems.faults, 'error')}, {counted(problems.warnings, 'warning')}"
    )


def _print_json_report(converter: Converter, unreadable: Sequence[str]) -> None:
    """Print the report for programs, to stderr as well: stdout has the directives."""
    problems = converter.problems
    report = {
        "counts": converter.counts,
        "unreadable": unreadable,
        "errors": problems.faults,
        "warnings": problems.warnings,
        "problems": [problem.as_document() for problem in problems.listed],
    }
    sys.stderr.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
