"""The validate verb: every fault in every file, a line each."""

from pathlib import Path
from typing import Any

import msgspec

from shards.config import ConfigReader, PathError, Problem
from shards.logs import harmless
from shards.report import complain, say

INVALID, NO_PATH = 1, 2


def run(paths: list[Path], lenient: bool, form: str) -> int:
    """Check files and folders, print what is wrong, and return the exit code."""
    reader = ConfigReader(lenient=lenient, keep=False)
    missing = [message for path in paths if (message := _read(reader, path))]
    if form == "json":
        say(msgspec.json.format(msgspec.json.encode(_document(reader, missing))).decode())
    else:
        _print(reader, missing)
    return NO_PATH if missing else INVALID if reader.faulty else 0


def _read(reader: ConfigReader, path: Path) -> str:
    """Read a file or folder; returns why that cannot be done."""
    try:
        if path.is_dir():
            reader.read_folder(path)
        else:
            reader.read_file(path)
    except PathError as error:
        return str(error)
    return ""


def line_of(problem: Problem) -> str:
    """`file:line:column code directive stage field: message`, with - for what does not apply."""
    finding = problem.finding
    code = f"warning/{finding.code}" if finding.warning else finding.code
    where = f"{problem.file}:{problem.line}:{problem.column}"
    subject = f"{finding.directive or '-'} {finding.stage or '-'} {finding.field or '-'}"
    return harmless(f"{where} {code} {subject}: {finding.message}")


def _print(reader: ConfigReader, missing: list[str]) -> None:
    for problem in reader.problems:
        say(line_of(problem))
    for message in missing:
        complain(message)
    counts = reader.counts
    warnings = sum(problem.finding.warning for problem in reader.problems)
    complain(
        f"{counts['files']} files, {counts['directives']} directives, {counts['assets']} assets: "
        f"{len(reader.problems) - warnings} faults, {warnings} warnings"
    )


def _document(reader: ConfigReader, missing: list[str]) -> dict[str, Any]:
    return {
        "valid": not (reader.faulty or missing),
        "counts": reader.counts,
        "unreadable": missing,
        "problems": [_row(problem) for problem in reader.problems],
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
