"""Problems in the formats of other programs: GitHub annotations, SARIF and JUnit.

Functions of problems only, so that every command that finds some can use them.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from engine.errors import Severity
from engine.finding_codes import CODES
from shards.config.problem import Problem
from shards.safe_text import escape_control
from shards.version import version

_GITHUB: Mapping[Severity, str] = {"error": "error", "warning": "warning", "lint": "notice"}
_SARIF: Mapping[Severity, str] = {"error": "error", "warning": "warning", "lint": "note"}
"""The levels of the formats by severity."""
_RULE_INDEXES = {code: index for index, code in enumerate(CODES)}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_DOCUMENT = "docs/lints.md"
"""The page that explains the codes."""


def github_lines(problems: Iterable[Problem], errors: Iterable[str]) -> Iterator[str]:
    """A workflow command of GitHub for each problem, and for each error of no file."""
    for problem in problems:
        yield github_command(
            _GITHUB[problem.finding.severity],
            _text(problem),
            file=_below_here(problem.file),
            line=str(problem.line),
            col=str(problem.column),
            title=problem.finding.code,
        )
    yield from (github_command("error", error) for error in errors)


def github_command(level: str, message: str, **properties: str) -> str:
    """`::level name=value,…::message`: GitHub shows it beside the file, and in the summary."""
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level}{' ' if given else ''}{given}::{_github_text(message)}"


def _github_text(text: str) -> str:
    """The text in one line: a line break would begin another command."""
    return escape_control(text).replace("%", "%25")


def _property(value: str) -> str:
    return _github_text(value).replace(":", "%3A").replace(",", "%2C")


def sarif_log(problems: Iterable[Problem], errors: Sequence[str], note: str = "") -> dict[str, Any]:
    """A SARIF 2.1.0 log with one run.

    `errors`: why the run is not complete. `note`: what is not in the log, or "".
    """
    notifications = [
        *({"level": "error", "message": {"text": escape_control(error)}} for error in errors),
        *([{"level": "warning", "message": {"text": note}}] if note else []),
    ]
    invocation = {
        "executionSuccessful": not errors,
        "toolExecutionNotifications": notifications,
    }
    run = {
        "tool": {"driver": _sarif_driver()},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": list(map(_sarif_result, problems)),
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_driver() -> dict[str, Any]:
    """The program and its rules. helpUri must be absolute, and the page is part of the program."""
    rules = [
        {
            "id": known.code,
            "shortDescription": {"text": f"{known.summary}."},
            "help": {"text": f"See {_DOCUMENT}#{known.code} of Dsiem Shards."},
            "defaultConfiguration": {"level": _SARIF[known.severity]},
        }
        for known in CODES.values()
    ]
    return {"name": "dsiem-backend", "version": version(), "rules": rules}


def _sarif_result(problem: Problem) -> dict[str, Any]:
    finding = problem.finding
    region = {"startLine": problem.line, "startColumn": problem.column}
    location = {"artifactLocation": {"uri": _uri(problem.file)}, "region": region}
    about = {"directive": finding.directive, "stage": finding.stage, "field": finding.field or None}
    return {
        "ruleId": finding.code,
        "ruleIndex": _RULE_INDEXES[finding.code],
        "level": _SARIF[finding.severity],
        "message": {"text": _text(problem)},
        "locations": [{"physicalLocation": location}],
        "properties": {name: value for name, value in about.items() if value is not None},
    }


def junit_report(files: Iterable[str], problems: Iterable[Problem], errors: Iterable[str]) -> str:
    """A JUnit report: a suite for each file, in it a failure for each fault.

    Warnings and lints are the output of the first test of their suite. Errors of no file have a
    suite of their own.
    """
    by_file: dict[str, list[Problem]] = {file: [] for file in files}
    for problem in problems:
        by_file.setdefault(problem.file, []).append(problem)
    report = JUnitXml("validate")
    for file, found in by_file.items():
        report.add_testsuite(_junit_suite(escape_control(file), found))
    unreadable = TestSuite("unreadable")
    unreadable.add_testcases([_junit_error(escape_control(error)) for error in errors])
    if unreadable.tests:
        report.add_testsuite(unreadable)
    report.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = report.tostring()  # type: ignore[no-untyped-call]
    return text.decode()


def _junit_suite(file: str, problems: Sequence[Problem]) -> TestSuite:
    cases = [
        _junit_case(file, f"{problem.finding.code}, line {problem.line}", _failure(problem))
        for problem in problems
        if problem.finding.severity == "error"
    ]
    others = [str(problem) for problem in problems if problem.finding.severity != "error"]
    cases = cases or [_junit_case(file, "no faults")]
    if others:
        cases[0].system_out = "\n".join(others)
    suite = TestSuite(file)
    suite.add_testcases(cases)
    return suite


def _junit_case(file: str, name: str, *results: Failure | Error) -> TestCase:
    case = TestCase(name, classname=file)
    case.result = list(results)
    return case


def _failure(problem: Problem) -> Failure:
    failure = Failure(_text(problem), problem.finding.code)
    failure.text = str(problem)
    return failure


def _junit_error(text: str) -> TestCase:
    return _junit_case("unreadable", text, Error(text, "unreadable"))


def _text(problem: Problem) -> str:
    """The subject and the message, as one safe line."""
    subject, message = problem.subject, problem.finding.message
    return escape_control(f"{subject}: {message}" if subject else message)


def _below_here(file: str) -> str:
    """A path relative to the working folder, if it is below it: there other programs look."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _uri(file: str) -> str:
    below = _below_here(file)
    return ("file://" if below.startswith("/") else "") + quote(os.fsencode(below))
