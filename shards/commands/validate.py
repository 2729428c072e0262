"""The validate command: every fault and warning of configuration files, one line each."""

from collections import Counter
from pathlib import Path
from typing import Any

from msgspec import Struct

from shards.commands.terminal import print_error, print_json, print_line
from shards.config.config_folder import ConfigReader
from shards.config.problem import MAX_LISTED, ProblemList
from shards.errors import PathError
from shards.exit_codes import INVALID, NO_PATH
from shards.settings.settings import Settings


class ValidationResult(Struct, frozen=True):
    """The problems found, the number of files and entries by kind, and why paths are unreadable."""

    problems: ProblemList
    counts: Counter[str]
    unreadable: list[str]

    @property
    def has_faults(self) -> bool:
        """Whether any problem is more than a warning."""
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
            "unreadable": self.unreadable,
            "faults": self.problems.faults,
            "warnings": self.problems.warnings,
            "problems": [problem.as_document() for problem in self.problems.listed],
        }

    def print_text(self) -> None:
        """Print the problems to stdout; what is unreadable and the totals to stderr."""
        for problem in self.problems.listed:
            print_line(str(problem))
        if unlisted := self.problems.unlisted:
            print_error(unlisted)
        for message in self.unreadable:
            print_error(message)
        counts, problems = self.counts, self.problems
        print_error(
            f"{counts['files']} files, {counts['directives']} directives, {counts['assets']} "
            f"assets: {problems.faults} faults, {problems.warnings} warnings"
        )


def run(paths: list[Path], settings: Settings) -> int:
    """Check files and folders, print the result, and return the exit code."""
    limit = None if settings.all else MAX_LISTED
    result = validate_paths(paths, settings, limit)
    if settings.format == "json":
        print_json(result.as_document())
    else:
        result.print_text()
    return result.exit_code


def validate_paths(
    paths: list[Path], settings: Settings, limit: int | None = MAX_LISTED
) -> ValidationResult:
    """Check files and folders: each folder is a configuration, the single files are one together.

    The settings say what is only a warning. `limit`: number of problems to list.
    """
    problems = ProblemList(limit)
    result = ValidationResult(problems, Counter(), [])
    files = ConfigReader(settings, keep=False, problems=problems)
    readers = [files]
    for path in paths:
        try:
            if path.is_dir():
                readers.append(ConfigReader(settings, keep=False, problems=problems))
                readers[-1].read_folder(path)
            else:
                files.read_file(path)
        except PathError as error:
            result.unreadable.append(str(error))
    for reader in readers:
        result.counts.update(reader.counts)
    return result
