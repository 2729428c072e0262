"""Counts what a NATS connection that fails costs: its losses, and the time without events.

Pure, with times as arguments in monotonic seconds, so that tests need no server.
"""

from typing import NamedTuple

from msgspec.structs import replace

from shards.ledger import Feed
from shards.sources.nats_monitor import ConnectionEnd
from shards.sources.nats_parser import EventParser

_STALL_SECONDS = 2.0
"""A process that does not ask for the counts for that long, twice a second usually, is stalled."""
_STALL_MEMORY_SECONDS = 10.0
"""A connection that ends so soon after a stall may have ended during it: the server cuts off a
client that does not read, and the client notices only after it has read what it still gets."""


class EndedConnection(NamedTuple):
    """A connection that has ended: the server's id of it, and the events received over it.

    `since`: the time from which on it counts as ended.
    """

    client_id: int
    received: int
    since: float


class ConnectionTracker:
    """Counts lost connections, discarded events, and the time without a connection."""

    def __init__(self, now: float) -> None:
        """There has been no connection since `now`."""
        self.parser: EventParser | None = None
        self._feed = Feed()
        self._ended: EndedConnection | None = None
        self._disconnected_since: float | None = now
        self._connected_at = now
        self._asked_at = now
        self._stall: tuple[float, float] | None = None
        """Begin and end of the last stall of this process."""
        self._counted = 0
        """Events of the parser that came over ended connections."""

    def use_parser(self, parser: EventParser) -> None:
        """Count the events of a new client, which has its own parser."""
        self.parser, self._counted = parser, 0

    def connected(self, now: float) -> EndedConnection | None:
        """A connection is established; returns the one that ended before, if any."""
        if self._disconnected_since is not None:
            self._feed.seconds_without += now - self._disconnected_since
            self._disconnected_since = None
            self._connected_at = now
        ended, self._ended = self._ended, None
        return ended

    def disconnected(self, now: float, client_id: int | None) -> bool:
        """The connection has ended; False if that is known, since nats-py may report it twice.

        If this process has stalled shortly before, the connection counts as ended since the stall
        began, until `add_end` knows better.
        """
        if self._disconnected_since is not None or self.parser is None:
            return False
        self._note_stall(now)
        since = now
        if self._stall is not None and now - self._stall[1] < _STALL_MEMORY_SECONDS:
            since = max(self._stall[0], self._connected_at)
        self._disconnected_since = since
        self._feed.lost += 1
        received = self.parser.received
        if client_id is not None:
            self._ended = EndedConnection(client_id, received - self._counted, since)
        self._counted = received
        return True

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, and with it the subscription."""
        return self._disconnected_since is None

    def add_end(self, ended: EndedConnection, end: ConnectionEnd, now: float) -> int:
        """Count what the server says of an ended connection; returns the discarded events."""
        discarded = max(0, end.sent - ended.received)
        self._feed.cut += discarded
        if end.seconds_ago is not None:
            self._feed.seconds_without += ended.since - (now - end.seconds_ago)
        return discarded

    def feed(self, now: float) -> Feed:
        """The counts, the present time without a connection included."""
        self._note_stall(now)
        since = self._disconnected_since
        without = 0.0 if since is None else now - since
        return replace(self._feed, seconds_without=self._feed.seconds_without + without)

    def _note_stall(self, now: float) -> None:
        if now - self._asked_at > _STALL_SECONDS:
            self._stall = (self._asked_at, now)
        self._asked_at = now
