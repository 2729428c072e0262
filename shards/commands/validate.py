"""The validate command: every fault, warning and lint of configuration files.

problem_formats.py has the formats for other programs, and watched_paths.py waits for changes.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from shards.commands import problem_formats
from shards.commands.terminal import counted, print_error, print_json, print_line
from shards.config.config_files import is_folder
from shards.config.config_reader import ConfigReader
from shards.config.problem import MAX_LISTED, ProblemList
from shards.errors import PathError
from shards.exit_codes import INTERRUPTED, INVALID, NO_PATH
from shards.safe_text import encodable
from shards.settings.settings import Settings


class ValidationResult(Struct, frozen=True):
    """The problems found, the number of files and entries by kind, and why paths are unreadable.

    `files`: those that were read. `lints`: whether lints were looked for.
    """

    problems: ProblemList
    counts: Counter[str]
    unreadable: list[str]
    files: list[str]
    lints: bool

    @property
    def has_faults(self) -> bool:
        """Whether any problem is more than a warning or a lint."""
        return self.problems.faults > 0

    @property
    def exit_code(self) -> int:
        """0; 1 when there are faults; 2 when a path cannot be read."""
        return NO_PATH if self.unreadable else INVALID if self.has_faults else 0

    def as_document(self) -> dict[str, Any]:
        """The result for programs."""
        return {
            "valid": not (self.has_faults or self.unreadable),
            "counts": self.counts,
            "unreadable": list(map(encodable, self.unreadable)),
            "faults": self.problems.faults,
            "warnings": self.problems.warnings,
            **({"lints": self.problems.lints} if self.lints else {}),
            "ignored": self.problems.ignored,
            "problems": [problem.as_document() for problem in self.problems.listed],
        }

    def print_text(self) -> None:
        """Print the problems to stdout; what is unreadable and the totals to stderr."""
        for problem in self.problems.listed:
            print_line(str(problem))
        for message in self.unreadable:
            print_error(message)
        self.print_totals()

    def print_totals(self) -> None:
        """Print how much was read and found to stderr."""
        if unlisted := self.problems.unlisted:
            print_error(unlisted)
        counts, problems = self.counts, self.problems
        lints = f", {counted(problems.lints, 'lint')}" if self.lints else ""
        ignored = f" ({problems.ignored} ignored)" if problems.ignored else ""
        print_error(
            f"{counted(counts['files'], 'file')}, {counted(counts['directives'], 'directive')}, "
            f"{counted(counts['assets'], 'asset')}: {counted(problems.faults, 'fault')}, "
            f"{counted(problems.warnings, 'warning')}{lints}{ignored}"
        )


def run(paths: list[Path], settings: Settings) -> int:
    """Check files and folders, print the result, and return the exit code.

    With `--watch`, again after each change, until SIGINT; the code is that of the last result.
    """
    if not settings.watch:
        result = _check(paths, settings)
        _PRINTERS[settings.format](result)
        return result.exit_code
    from shards.commands.watched_paths import changes_of  # noqa: PLC0415 - its library is large

    code = INTERRUPTED
    try:
        for _ in changes_of(paths):
            print_error(f"--- {datetime.now(UTC).astimezone():%H:%M:%S} ---")
            result = _check(paths, settings)
            code = result.exit_code  # before it is shown: who sees a result gets its code
            _PRINTERS[settings.format](result)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return code
    return code


def _check(paths: list[Path], settings: Settings) -> ValidationResult:
    return validate_paths(paths, settings, None if settings.all else MAX_LISTED, lints=True)


def validate_paths(
    paths: list[Path], settings: Settings, limit: int | None = MAX_LISTED, *, lints: bool = False
) -> ValidationResult:
    """Check files and folders: each folder is a configuration, the single files are one together.

    The settings say what is only a warning, and what is ignored. `limit`: number of problems to
    list. `lints`: whether to look for lints.
    """
    problems = ProblemList(limit, settings.ignore)

    def reader() -> ConfigReader:
        return ConfigReader(settings, problems=problems, lints=lints)

    files, unreadable = reader(), list[str]()
    readers = [files]
    for path in paths:
        try:
            if is_folder(path):
                readers.append(reader())
                readers[-1].read_folder(path)
            else:
                files.read_file(path)
        except PathError as error:
            unreadable.append(str(error))
    try:
        files.lint_assets()
    except PathError as error:
        unreadable.append(str(error))
    counts: Counter[str] = Counter()
    for each in readers:
        counts.update(each.counts)
    read = [str(path) for each in readers for path in each.files]
    return ValidationResult(problems, counts, unreadable, read, lints)


def _print_json(result: ValidationResult) -> None:
    print_json(result.as_document())


def _print_github(result: ValidationResult) -> None:
    for line in problem_formats.github_lines(result.problems.listed, result.unreadable):
        print_line(line)
    result.print_totals()


def _print_sarif(result: ValidationResult) -> None:
    unlisted = result.problems.unlisted
    print_json(problem_formats.sarif_log(result.problems.listed, result.unreadable, unlisted))
    result.print_totals()


def _print_junit(result: ValidationResult) -> None:
    problems = result.problems.listed
    print_line(problem_formats.junit_report(result.files, problems, result.unreadable))
    result.print_totals()


_PRINTERS: Mapping[str, Callable[[ValidationResult], None]] = {
    "text": ValidationResult.print_text,
    "json": _print_json,
    "github": _print_github,
    "sarif": _print_sarif,
    "junit": _print_junit,
}
"""Prints a result in each format of the setting."""
