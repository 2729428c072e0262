"""A finding with its position in a file."""

from typing import Any

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
