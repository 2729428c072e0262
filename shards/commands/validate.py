"""The validate command: every fault and warning of configuration files, one line each."""

from collections import Counter
from pathlib import Path
from typing import Any

from msgspec import Struct

from shards.commands.terminal import print_error, print_json, print_line
from shards.config.config_folder import ConfigReader
from shards.config.problem import Problem
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH


class ValidationResult(Struct, frozen=True):
    """The problems found, the number of files and entries by kind, and why paths are unreadable."""

    problems: list[Problem]
    counts: Counter[str]
    unreadable: list[str]

    @property
    def has_faults(self) -> bool:
        """Whether any problem is more than a warning."""
        return any(not problem.finding.warning for problem in self.problems)

    @property
    def exit_code(self) -> int:
        """0; 1 when there are faults; 2 when a path cannot be read."""
        return NO_PATH if self.unreadable else INVALID if self.has_faults else 0

    def as_document(self) -> dict[str, Any]:
        """The result for programs."""
        return {
            "valid": not (self.has_faults or self.unreadable),
            "counts": self.counts,
            "unreadable": self.unreadable,
            "problems": [problem.as_document() for problem in self.problems],
        }

    def print_text(self) -> None:
        """Print the problems to stdout; what is unreadable and the totals to stderr."""
        for problem in self.problems:
            print_line(str(problem))
        for message in self.unreadable:
            print_error(message)
        counts = self.counts
        warnings = sum(problem.finding.warning for problem in self.problems)
        print_error(
            f"{counts['files']} files, {counts['directives']} directives, {counts['assets']} "
            f"assets: {len(self.problems) - warnings} faults, {warnings} warnings"
        )


def run(paths: list[Path], lenient: bool, output_format: str) -> int:
    """Check files and folders, print the result, and return the exit code."""
    result = validate_paths(paths, lenient)
    if output_format == "json":
        print_json(result.as_document())
    else:
        result.print_text()
    return result.exit_code


def validate_paths(paths: list[Path], lenient: bool) -> ValidationResult:
    """Check files and folders: each folder is a configuration, the single files are one together.

    With `lenient`, what Dsiem (Go) repairs is a warning.
    """
    result = ValidationResult([], Counter(), [])
    files = ConfigReader(lenient=lenient, keep=False)
    readers = [files]
    for path in paths:
        try:
            if path.is_dir():
                readers.append(ConfigReader(lenient=lenient, keep=False))
                readers[-1].read_folder(path)
            else:
                files.read_file(path)
        except PathError as error:
            result.unreadable.append(str(error))
    for reader in readers:
        result.problems.extend(reader.problems)
        result.counts.update(reader.counts)
    return result
