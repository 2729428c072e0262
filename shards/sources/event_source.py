"""The one contract between the router and all sources of events."""

from typing import Protocol

from msgspec import Struct

from shards.ledger import Feed

QUEUE_FULL = "queue_full"


class Refusal(Struct, frozen=True):
    """Why an event was not accepted: a reason of the ledger for invalid ones, or QUEUE_FULL."""

    reason: str
    detail: str


class EventSink(Protocol):
    """Where events go, and who counts them."""

    def take(self, raw: bytes) -> Refusal | None:
        """Take one event and count it; None: accepted, be it routed, unmatched or whitelisted."""

    def flush(self) -> None:
        """Hand on what was taken: at the end of each read, also when it fails half-way."""


class EventSource(Protocol):
    """Where the events of a router come from."""

    async def start(self) -> tuple[str, int] | None:
        """Begin; returns where it listens, if it does. OSError when it cannot."""

    async def stop(self) -> None:
        """Take nothing new any more, finish what has begun, and end."""

    @property
    def feed(self) -> Feed:
        """What is known of events that never arrived."""

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
