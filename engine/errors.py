"""Whose fault it is, and where: invalid events, and findings in configuration documents.

Nothing here formats for a terminal or knows a file's name: a finding carries a path into
its document, and shards/ turns that into file, line and column.
"""

from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

InvalidReason = Literal[
    "bad_json", "bad_type", "missing_field", "bad_timestamp", "bad_address", "too_large"
]
INVALID_REASONS: tuple[InvalidReason, ...] = get_args(InvalidReason)
"""Every reason for which an event can be invalid, as counted in the ledger."""

Path = tuple[str | int, ...]
"""Keys and list positions from the top of a JSON document."""


class InvalidEventError(Exception):
    """An event that cannot be used: `reason` for the ledger, `detail` for the log."""

    def __init__(self, reason: InvalidReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Finding(Struct, frozen=True):
    """One fault of a document, or one warning about it.

    `message` says what is wrong and what would be right. `path` leads to the value at fault, or
    to the object that lacks it; `offset` is in bytes from there, for what is not JSON at all.
    """

    code: str
    message: str
    path: Path = ()
    offset: int = 0
    directive: int | None = None
    stage: int | None = None
    field: str = ""
    warning: bool = False

    def below(self, *prefix: str | int) -> "Finding":
        """The same finding, seen from further up the document."""
        return replace(self, path=(*prefix, *self.path))

    def as_warning(self, consequence: str) -> "Finding":
        """The same finding as a warning that says what is done about it."""
        return replace(self, warning=True, message=f"{self.message}; {consequence}")
