"""The one contract between the router and all sources of events."""

from typing import Protocol

from msgspec import Struct

QUEUE_FULL = "queue_full"


class Refusal(Struct, frozen=True):
    """Why an event was not accepted: a reason of the ledger for invalid ones, or QUEUE_FULL."""

    reason: str
    detail: str


class Intake(Protocol):
    """Where events go, and who counts them."""

    def take(self, raw: bytes) -> Refusal | None:
        """Take one event and count it; None: accepted, be it routed, unmatched or whitelisted."""

    def flush(self) -> None:
        """Hand on what was taken: at the end of each read, also when it fails half-way."""
