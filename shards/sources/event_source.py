"""The contract between the router and its event sources.

A source calls its sink on the router's event loop. A sink never waits: it accepts or refuses.
"""

from typing import Protocol

from msgspec import Struct

from shards.ledger import Feed

QUEUE_FULL = "queue_full"
"""Reason of a refusal: the send queue of a worker is full, and a retry can help."""


class Refusal(Struct, frozen=True):
    """Why an event was not accepted: a reason for invalid events, or QUEUE_FULL."""

    reason: str
    detail: str


class EventSink(Protocol):
    """Takes events from a source whose sender waits for an answer, and counts them."""

    def take(self, raw: bytes) -> Refusal | None:
        """Take one event; None if it is accepted (routed, unmatched or whitelisted)."""

    def flush(self) -> None:
        """Pass on the events taken; called at the end of each read, also after a failure."""


class EventStore(Protocol):
    """Writes events to the disk before their sender gets an answer."""

    @property
    def is_ready(self) -> bool:
        """Whether events can be stored yet."""

    async def store(self, events: list[bytes]) -> None:
        """Store events, and pass them on; OSError if that is not possible."""


class EventSource(Protocol):
    """Receives events, and passes them to the router."""

    async def start(self) -> tuple[str, int] | None:
        """Start receiving; returns the address and port if it listens, OSError if it cannot."""

    async def stop(self) -> None:
        """Accept no more events, finish those under way, and close."""

    @property
    def feed(self) -> Feed:
        """Counts of events that did not arrive."""

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""

    @property
    def lag(self) -> int:
        """Number of events that wait to be read, as far as that is known."""
