"""Findings with their position in a file, and a bounded list of them."""

from collections import Counter
from collections.abc import Collection
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, get_args

from loguru import logger
from msgspec import Struct
from msgspec.structs import replace

from engine.errors import Finding, Severity
from shards.safe_text import encodable, escape_control

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""In the order in which problems are kept: faults, warnings, lints."""


class Problem(Struct, frozen=True):
    """A finding of a file; line and column count from 1."""

    file: str
    line: int
    column: int
    finding: Finding

    def __str__(self) -> str:
        """The line that editors know: `file:line:column: severity code: subject: message`."""
        finding = self.finding
        parts = (f"{finding.severity} {finding.code}", self.subject, finding.message)
        text = ": ".join(part for part in parts if part)
        return escape_control(f"{self.file}:{self.line}:{self.column}: {text}")

    def moved(self, old: Path, new: Path) -> "Problem":
        """The problem after the files of a folder were moved to another one."""
        before, after = f"{old}/", f"{new}/"
        message = self.finding.message.replace(before, after)  # it can name another file
        return Problem(
            self.file.replace(before, after),
            self.line,
            self.column,
            replace(self.finding, message=message),
        )

    @property
    def subject(self) -> str:
        """The directive, stage and field of the finding: `directive 7, stage 2, from`; or ""."""
        finding = self.finding
        directive = f"directive {finding.directive}" if finding.directive is not None else ""
        stage = f"stage {finding.stage}" if finding.stage is not None else ""
        return ", ".join(part for part in (directive, stage, finding.field) if part)

    def as_document(self) -> dict[str, Any]:
        """The problem for programs."""
        finding = self.finding
        return {
            "file": encodable(self.file),
            "line": self.line,
            "column": self.column,
            "severity": "fault" if finding.severity == "error" else finding.severity,
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

    def __init__(self, limit: int | None = MAX_LISTED, ignored_codes: Collection[str] = ()) -> None:
        """`limit`: number of problems to keep; None for all.

        `ignored_codes`: warnings and lints with such a code are counted, and not kept.
        """
        self._limit = limit
        self._ignored_codes = frozenset(ignored_codes)
        self.ignored = 0
        """Number of warnings and lints with an ignored code; the other counts are without them."""
        self._counts: Counter[Severity] = Counter()
        self._kept: dict[Severity, list[tuple[int, Problem]]] = {name: [] for name in SEVERITIES}
        """By severity: the problems that are kept, with their number."""

    def __len__(self) -> int:
        return self._counts.total()

    @property
    def faults(self) -> int:
        """Number of faults."""
        return self._counts["error"]

    @property
    def warnings(self) -> int:
        """Number of warnings that are not ignored."""
        return self._counts["warning"]

    @property
    def lints(self) -> int:
        """Number of lints that are not ignored."""
        return self._counts["lint"]

    def count(self, finding: Finding) -> bool:
        """Count a finding; returns whether it is to be added with its position."""
        if finding.warning and finding.code in self._ignored_codes:
            self.ignored += 1
            return False
        self._counts[finding.severity] += 1
        return self._limit is None or self._counts[finding.severity] <= self._limit

    def add(self, problem: Problem) -> None:
        """Keep a problem whose finding was counted."""
        number = sum(map(len, self._kept.values()))
        self._kept[problem.finding.severity].append((number, problem))

    def move(self, old: Path, new: Path) -> None:
        """Let the problems name the files where they are after a move to another folder."""
        for kept in self._kept.values():
            kept[:] = [(number, problem.moved(old, new)) for number, problem in kept]

    @property
    def listed(self) -> list[Problem]:
        """The problems to list, in the order in which they were added."""
        by_severity = chain.from_iterable(self._kept[name] for name in SEVERITIES)
        kept = islice(by_severity, self._limit)
        return [problem for _, problem in sorted(kept, key=itemgetter(0))]

    @property
    def unlisted(self) -> str:
        """A line about the problems that are not listed; "" if all are."""
        more = len(self) - len(self.listed)
        return f"{more} more problems are not listed here; validate --all lists all" if more else ""

    def lines(self) -> list[str]:
        """The lines of the problems to list, and one about the others."""
        return [*map(str, self.listed), *filter(None, [self.unlisted])]

    def log(self) -> None:
        """Log the problems to list, and how many there are more."""
        for problem in self.listed:
            (logger.warning if problem.finding.warning else logger.error)(str(problem))
        if unlisted := self.unlisted:
            logger.warning(unlisted)
