"""Invalid events, and findings in configuration documents.

A finding has a path into its document; shards/ turns it into file, line and column.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

InvalidReason = Literal[
    "bad_json", "bad_type", "missing_field", "bad_timestamp", "bad_address", "too_large"
]
INVALID_REASONS: tuple[InvalidReason, ...] = get_args(InvalidReason)
"""The reasons for which an event can be invalid, as the ledger counts them."""

DocumentPath = tuple[str | int, ...]
"""Keys and list positions from the top of a JSON document."""


class InvalidEventError(Exception):
    """An event cannot be used: `reason` for the ledger, `detail` for the log.

    `field`: the field that is wrong, one of few; "" if it is the event as a whole.
    """

    def __init__(self, reason: InvalidReason, detail: str, field: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.field = field


class Finding(Struct, frozen=True):
    """A fault of a document, or a warning.

    `message` says what is wrong and what would be right. `path` leads to the faulty value, or to
    the object that lacks it; `offset`, in bytes from there, is for documents that are not JSON.
    """

    code: str
    message: str
    path: DocumentPath = ()
    offset: int = 0
    directive: int | None = None
    stage: int | None = None
    field: str = ""
    warning: bool = False

    def with_prefix(self, *prefix: str | int) -> "Finding":
        """The finding with a prefix to its path: seen from further up in the document."""
        return replace(self, path=(*prefix, *self.path))

    def as_warning(self, consequence: str) -> "Finding":
        """The finding as a warning that states the consequence."""
        return replace(self, warning=True, message=f"{self.message}; {consequence}")


def has_faults(findings: Iterable[Finding]) -> bool:
    """Whether any finding is more than a warning."""
    return any(not finding.warning for finding in findings)
