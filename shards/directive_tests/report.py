"""Reports of a run of tests: for people, for programs, for GitHub and as JUnit."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from junitparser import Failure as JUnitFailure
from junitparser import JUnitXml, TestCase, TestSuite
from msgspec import Struct

from shards.config.problem import Problem
from shards.directive_tests.coverage import Coverage
from shards.directive_tests.outcome import TestOutcome
from shards.safe_text import escape_control

_XML_BAD = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold."""


class TestReport(Struct, frozen=True):
    """The outcomes of all tests that were run, and what they cover, by folder, if wanted.

    `deselected`: tests that were not meant; `not_run`: those after a failure that ended the run.
    """

    outcomes: Sequence[TestOutcome]
    deselected: int
    seconds: float
    coverage: Mapping[Path, Coverage]
    not_run: int = 0

    @property
    def failed(self) -> list[TestOutcome]:
        """The outcomes of tests that failed."""
        return [outcome for outcome in self.outcomes if outcome.failures]

    @property
    def covered(self) -> float:
        """The percentage of the stages of all directives that some test has finished."""
        total = sum(one.total for one in self.coverage.values())
        return 100 * sum(one.finished for one in self.coverage.values()) / total if total else 0.0

    @property
    def summary(self) -> str:
        """`2 passed, 1 failed in 0.31 s`."""
        counts = {
            "failed": len(self.failed),
            "passed": len(self.outcomes) - len(self.failed),
            "deselected": self.deselected,
            "not run": self.not_run,
        }
        shown = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        return f"{shown or 'no tests'} in {self.seconds:.2f} s"

    def as_document(self) -> dict[str, Any]:
        """The report for programs."""
        document: dict[str, Any] = {
            "passed": len(self.outcomes) - len(self.failed),
            "failed": len(self.failed),
            "deselected": self.deselected,
            "not_run": self.not_run,
            "seconds": round(self.seconds, 3),
            "tests": list(map(_as_document, self.outcomes)),
        }
        if self.coverage:
            document["stages_finished_percent"] = round(self.covered, 1)
            document["coverage"] = [
                {"folder": _json_text(str(folder)), **stages}
                for folder, coverage in self.coverage.items()
                for stages in coverage.as_document()
            ]
        return document

    def write_junit(self, path: str) -> None:
        """Write a JUnit report; OSError if that fails."""
        report = JUnitXml("dsiem-backend test")
        by_file: dict[Path, list[TestOutcome]] = {}
        for outcome in self.outcomes:
            by_file.setdefault(outcome.loaded.file, []).append(outcome)
        for file, outcomes in by_file.items():
            suite = TestSuite(_xml_text(str(file)))
            suite.add_testcases(list(map(_junit_case, outcomes)))
            report.add_testsuite(suite)
        report.update_statistics()  # type: ignore[no-untyped-call]
        report.write(path, pretty=True)

    def github_lines(self) -> Iterator[str]:
        """A workflow command for each failure, which GitHub shows at the line."""
        for outcome in self.failed:
            for failure in outcome.failures:
                text = "\n".join((*_lines(failure.message), *_explanation(outcome)))
                place = (str(outcome.loaded.file), failure.line, failure.column)
                yield _github_line("error", place, outcome.loaded.test.name, text)


def github_problem(problem: Problem) -> str:
    """A workflow command for a problem of a file."""
    finding = problem.finding
    text = escape_control(f"{finding.field or 'the file'}: {finding.message}")
    place = (problem.file, problem.line, problem.column)
    return _github_line("warning" if finding.warning else "error", place, finding.code, text)


def _github_line(level: str, place: tuple[str, int, int], title: str, text: str) -> str:
    file, line, column = place
    where = f"file={_property(file)},line={line},col={column}"
    return f"::{level} {where},title={_property(title)}::{_data(text)}"


def failure_lines(outcome: TestOutcome) -> Iterator[str]:
    """A test that failed: where, why, and what became of the directives."""
    yield escape_control(f"FAILED {outcome.loaded.place} {outcome.loaded.test.name}")
    for failure in outcome.failures:
        place = escape_control(f"{outcome.loaded.file}:{failure.line}:{failure.column}")
        first, *rest = _lines(failure.message)
        yield f"  {place}: {first}"
        yield from (f"  {line}" for line in rest)
    yield from (f"  {line}" for line in _explanation(outcome))


def _lines(message: str) -> list[str]:
    """The lines of a message, which are its own, since values in it are escaped."""
    return list(map(escape_control, message.split("\n")))


def _explanation(outcome: TestOutcome) -> Iterator[str]:
    return map(escape_control, outcome.explanation)


def coverage_lines(coverage: Coverage) -> Iterator[str]:
    """A line for each stage that was not finished, and each condition with one result only."""
    for id_, stages in sorted(coverage.stages.items()):
        name = escape_control(f"{id_} {coverage.names[id_]}")
        done = sum(stage.finished for stage in stages)
        if not stages[0].reached:
            yield f"{name}: never opened"
            continue
        yield f"{name}: {done} of {len(stages)} stages finished"
        for number, stage in enumerate(stages, 1):
            notes = [] if stage.finished else [str(stage)]
            notes += stage.one_sided
            if notes:
                yield f"  stage {number}: {'; '.join(notes)}"


def _as_document(outcome: TestOutcome) -> dict[str, Any]:
    line, column = outcome.loaded.position
    return {
        "name": outcome.loaded.test.name,
        "file": _json_text(str(outcome.loaded.file)),
        "line": line,
        "column": column,
        "status": outcome.status,
        "seconds": round(outcome.seconds, 3),
        "failures": outcome.failures,
        "explanation": outcome.explanation,
    }


def _junit_case(outcome: TestOutcome) -> TestCase:
    name = _xml_text(outcome.loaded.test.name)
    seconds = round(outcome.seconds, 3)
    case = TestCase(name, classname=_xml_text(str(outcome.loaded.file)), time=seconds)
    if outcome.failures:
        failure = JUnitFailure(_xml_text(outcome.failures[0].message))
        failure.text = _xml_text("\n".join(failure_lines(outcome)))
        case.result = [failure]
    return case


def _json_text(text: str) -> str:
    """A path as text that JSON can hold: bytes of it that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _xml_text(text: str) -> str:
    """A text that XML can hold."""
    return _XML_BAD.sub("\N{REPLACEMENT CHARACTER}", text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return escape_control(_data(text)).replace(":", "%3A").replace(",", "%2C")
