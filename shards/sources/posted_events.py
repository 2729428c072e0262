"""The results of the events of one posted body, and the response that tells them."""

from typing import Any

import msgspec
from aiohttp import web

from shards.http_server import NO_HEADERS, RETRY_HEADER, json_response
from shards.sources.event_source import QUEUE_FULL, Refusal

MAX_LISTED = 100
"""Maximum number of refused events with details in a response; the ranges name all of them."""
MAX_INVALID = 1000
"""Number of invalid events after which the rest of a body is not taken."""
MAX_RANGES = 1000
"""Number of ranges of refused events after which the rest of a body is not taken."""


class PostedEvents:
    """The results of the events of one body; positions count events, not blank lines."""

    def __init__(self) -> None:
        self.received = self.accepted = 0
        self.stopped = ""
        """Why the rest of the body was refused, or empty."""
        self._invalid = 0
        self._rejected: list[dict[str, int | str]] = []
        self._ranges: dict[str, list[list[int]]] = {}
        """First and last position of each range of refused events, by reason."""
        self._number_of_ranges = 0

    def note(self, refusal: Refusal | None) -> None:
        """Count one event, with the refusal if there is one."""
        if refusal is None:
            self.accepted += 1
        else:
            self._invalid += refusal.reason != QUEUE_FULL
            self._add_to_ranges(refusal.reason)
            if len(self._rejected) < MAX_LISTED:
                self._rejected.append(
                    {"position": self.received, **msgspec.structs.asdict(refusal)}
                )
        self.received += 1

    def _add_to_ranges(self, reason: str) -> None:
        ranges = self._ranges.setdefault(reason, [])
        if ranges and ranges[-1][1] == self.received - 1:
            ranges[-1][1] = self.received
        else:
            ranges.append([self.received, self.received])
            self._number_of_ranges += 1

    @property
    def limit_reached(self) -> str:
        """Why the rest of the body is refused, if there is a rest; empty if it is not."""
        if self._invalid >= MAX_INVALID:
            return f"the rest is not taken: {MAX_INVALID} events are invalid"
        if self._number_of_ranges >= MAX_RANGES:
            return f"the rest is not taken: refused events are in {MAX_RANGES} ranges"
        return ""

    def response(self, stopped: str = "", status: int = 0) -> web.Response:
        """The response. `stopped`: why the events from position `received` on are not taken.

        Without a status: 429 if a queue was full, 400 if no event was accepted or the rest was
        refused, else 200.
        """
        total = self.received - self.accepted
        answer: dict[str, Any] = {
            "received": self.received,
            "accepted": self.accepted,
            "rejected": self._rejected,
            "rejected_total": total,
            "rejected_ranges": self._ranges,
        }
        if stopped:
            answer |= {"error": stopped, "not_taken_from": self.received}
        if not status:
            bad = stopped or (total and not self.accepted)
            status = 429 if QUEUE_FULL in self._ranges else 400 if bad else 200
        return json_response(status, answer, RETRY_HEADER if status in (429, 503) else NO_HEADERS)
