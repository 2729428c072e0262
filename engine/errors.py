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

Severity = Literal["error", "warning", "lint"]
"""error: a fault, with which nothing starts; warning: what is written has another effect, or none;
lint: it is valid, and probably not what its author wants."""
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
    """A fault of a document, a warning or a lint; its code is one of finding_codes.CODES.

    `lint`: a warning of the mildest kind, which only `validate` asks for. `message` says what is
    wrong and what would be right. `path` leads to the faulty value, or to the object that lacks it;
    `offset`, in bytes from there, is for documents that are not JSON.
    """

    code: str
    message: str
    path: DocumentPath = ()
    offset: int = 0
    directive: int | None = None
    stage: int | None = None
    field: str = ""
    warning: bool = False
    lint: bool = False

    @property
    def severity(self) -> Severity:
        """Whether it is a fault, a warning or a lint."""
        return "lint" if self.lint else "warning" if self.warning else "error"

    def with_prefix(self, *prefix: str | int) -> "Finding":
        """The finding with a prefix to its path: seen from further up in the document."""
        return replace(self, path=(*prefix, *self.path))

    def as_warning(self, consequence: str) -> "Finding":
        """The finding as a warning that states the consequence."""
        return replace(self, warning=True, message=f"{self.message}; {consequence}")


def has_faults(findings: Iterable[Finding]) -> bool:
    """Whether any finding is more than a warning."""
    return any(not finding.warning for finding in findings)
