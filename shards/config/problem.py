"""Findings with their position in a file, and a bounded list of them."""

from operator import itemgetter
from typing import Any

from loguru import logger
from msgspec import Struct

from engine.errors import Finding
from shards.safe_text import escape_control


class Problem(Struct, frozen=True):
    """A finding of a file; line and column count from 1."""

    file: str
    line: int
    column: int
    finding: Finding

    def __str__(self) -> str:
        """`file:line:column code directive stage field: message`, with - for what is absent."""
        finding = self.finding
        code = f"warning/{finding.code}" if finding.warning else finding.code
        where = f"{self.file}:{self.line}:{self.column}"
        subject = f"{finding.directive or '-'} {finding.stage or '-'} {finding.field or '-'}"
        return escape_control(f"{where} {code} {subject}: {finding.message}")

    def as_document(self) -> dict[str, Any]:
        """The problem for programs."""
        finding = self.finding
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": "warning" if finding.warning else "fault",
            "code": finding.code,
            "directive": finding.directive,
            "stage": finding.stage,
            "field": finding.field or None,
            "message": finding.message,
        }


MAX_LISTED = 1000
"""Number of problems that are listed; more do not help, and a hostile file can have millions."""


class ProblemList:
    """Problems of several files: all are counted, and the first ones are kept, faults first."""

    def __init__(self, limit: int | None = MAX_LISTED) -> None:
        """`limit`: number of problems to keep; None for all."""
        self.faults = 0
        self.warnings = 0
        self._limit = limit
        self._kept: dict[bool, list[tuple[int, Problem]]] = {False: [], True: []}
        """By whether they are warnings: the problems that are kept, with their number."""

    def __len__(self) -> int:
        return self.faults + self.warnings

    def count(self, finding: Finding) -> bool:
        """Count a finding; returns whether it is to be added with its position."""
        if finding.warning:
            self.warnings += 1
        else:
            self.faults += 1
        number = self.warnings if finding.warning else self.faults
        return self._limit is None or number <= self._limit

    def add(self, problem: Problem) -> None:
        """Keep a problem whose finding was counted."""
        kept = self._kept[problem.finding.warning]
        kept.append((len(self._kept[False]) + len(self._kept[True]), problem))

    @property
    def listed(self) -> list[Problem]:
        """The problems to list, in the order in which they were added."""
        faults, warnings = self._kept[False], self._kept[True]
        if self._limit is not None:
            warnings = warnings[: max(0, self._limit - len(faults))]
        return [problem for _, problem in sorted((*faults, *warnings), key=itemgetter(0))]

    @property
    def unlisted(self) -> str:
        """A line about the problems that are not listed; "" if all are."""
        more = len(self) - len(self.listed)
        return f"{more} more problems are not listed here; validate --all lists all" if more else ""

    def log(self) -> None:
        """Log the problems to list, and how many there are more."""
        for problem in self.listed:
            (logger.warning if problem.finding.warning else logger.error)(str(problem))
        if unlisted := self.unlisted:
            logger.warning(unlisted)
