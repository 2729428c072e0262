"""The validate verb: every fault in every file, a line each."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from shards.config import ConfigReader, PathError, Problem
from shards.logs import harmless
from shards.report import complain, say

INVALID, NO_PATH = 1, 2


def run(paths: list[Path], lenient: bool, form: str) -> int:
    """Check files and folders, print what is wrong, and return the exit code."""
    result = _check(paths, lenient)
    if form == "json":
        say(msgspec.json.format(msgspec.json.encode(_document(result))).decode())
    else:
        _print(result)
    return NO_PATH if result.unreadable else INVALID if result.faulty else 0


class _Result(Struct, frozen=True):
    """What came out; `unreadable` says of each path that could not be read why."""

    problems: list[Problem]
    counts: Counter[str]
    unreadable: list[str]

    @property
    def faulty(self) -> bool:
        return any(not problem.finding.warning for problem in self.problems)


def _check(paths: list[Path], lenient: bool) -> _Result:
    """Each folder is a config of its own; single files belong together."""
    result = _Result([], Counter(), [])
    loose = ConfigReader(lenient=lenient, keep=False)
    readers = [loose]
    for path in paths:
        try:
            if path.is_dir():
                readers.append(ConfigReader(lenient=lenient, keep=False))
                readers[-1].read_folder(path)
            else:
                loose.read_file(path)
        except PathError as error:
            result.unreadable.append(str(error))
    for reader in readers:
        result.problems.extend(reader.problems)
        result.counts.update(reader.counts)
    return result


def line_of(problem: Problem) -> str:
    """`file:line:column code directive stage field: message`, with - for what does not apply."""
    finding = problem.finding
    code = f"warning/{finding.code}" if finding.warning else finding.code
    where = f"{problem.file}:{problem.line}:{problem.column}"
    subject = f"{finding.directive or '-'} {finding.stage or '-'} {finding.field or '-'}"
    return harmless(f"{where} {code} {subject}: {finding.message}")


def _print(result: _Result) -> None:
    for problem in result.problems:
        say(line_of(problem))
    for message in result.unreadable:
        complain(message)
    counts = result.counts
    warnings = sum(problem.finding.warning for problem in result.problems)
    complain(
        f"{counts['files']} files, {counts['directives']} directives, {counts['assets']} assets: "
        f"{len(result.problems) - warnings} faults, {warnings} warnings"
    )


def _document(result: _Result) -> dict[str, Any]:
    return {
        "valid": not (result.faulty or result.unreadable),
        "counts": result.counts,
        "unreadable": result.unreadable,
        "problems": [_row(problem) for problem in result.problems],
    }


def _row(problem: Problem) -> dict[str, Any]:
    finding = problem.finding
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": "warning" if finding.warning else "fault",
        "code": finding.code,
        "directive": finding.directive,
        "stage": finding.stage,
        "field": finding.field or None,
        "message": finding.message,
    }
