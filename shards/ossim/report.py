"""Collects what was changed or left out in a conversion, with its place in the file."""

from collections import Counter
from typing import Protocol

from engine.errors import Finding
from shards.config.problem import Problem, ProblemList


class Place(Protocol):
    """Whatever has a line and a column, which count from 1."""

    @property
    def line(self) -> int:
        """The line."""

    @property
    def column(self) -> int:
        """The column."""


class Report:
    """The problems of one file; those of several files are in one list."""

    def __init__(self, file: str, problems: ProblemList) -> None:
        self._file = file
        self._problems = problems
        self._notes: dict[str, tuple[Place, Finding]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, place: Place, finding: Finding) -> None:
        """Add a finding at a place."""
        if self._problems.count(finding):
            self._problems.add(Problem(self._file, place.line, place.column, finding))

    def note(self, place: Place, finding: Finding) -> None:
        """Add a warning that is given once for the file, at its first place, with the number."""
        self._counts[finding.code] += 1
        self._notes.setdefault(finding.code, (place, finding))

    def finish(self) -> None:
        """Add the warnings that are given once."""
        for code, (place, finding) in self._notes.items():
            count = self._counts[code]
            self.add(place, finding.as_warning(f"{count:,} in this file, the first one here"))

    def at(self, place: Place, directive: int | None, stage: int | None = None) -> "PlaceReport":
        """The report for one element."""
        return PlaceReport(self, place, directive, stage)


class PlaceReport:
    """The report for one element: an error in it means that it cannot be used."""

    def __init__(
        self, report: Report, place: Place, directive: int | None, stage: int | None
    ) -> None:
        self._report = report
        self._place = place
        self._directive = directive
        self._stage = stage
        self.failed = False

    def warn(self, field: str, code: str, message: str) -> None:
        """Add a warning: what was changed, and the consequence."""
        self._report.add(self._place, self._finding(field, code, message, warning=True))

    def fail(self, field: str, code: str, message: str) -> None:
        """Add an error: why the element cannot be used."""
        self.failed = True
        self._report.add(self._place, self._finding(field, code, message, warning=False))

    def note(self, field: str, code: str, message: str) -> None:
        """Add a warning that is given once for the file."""
        self._report.note(self._place, self._finding(field, code, message, warning=True))

    def pass_on(self, finding: Finding, place: Place) -> None:
        """Add a finding of the reader of our directives, at the place of what it is about."""
        self.failed = self.failed or not finding.warning
        self._report.add(place, finding)

    def _finding(self, field: str, code: str, message: str, *, warning: bool) -> Finding:
        return Finding(
            code,
            message,
            directive=self._directive,
            stage=self._stage,
            field=field,
            warning=warning,
        )
