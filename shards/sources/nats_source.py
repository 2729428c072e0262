"""Events over NATS: one a message, from the subject that a Dsiem frontend publishes on."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import nats.aio.client
import nats.errors
from loguru import logger
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from shards.ipc.pipes import READ_BYTES
from shards.ledger import Feed
from shards.settings.settings import Settings
from shards.sources import nats_connection, nats_monitor
from shards.sources.nats_connection import EVENTS_SUBJECT, RETRY_SECONDS
from shards.sources.nats_parser import EventParser

_STOP_SECONDS = 2
"""Longest wait, at a stop, for messages that are on their way from the server."""
# nats-py reads 32 KiB at once and has no option; large reads make large batches.
nats.aio.client.DEFAULT_BUFFER_SIZE = READ_BYTES


class EndedConnection(NamedTuple):
    """A connection that has ended: the server's id of it, and the events received over it."""

    client_id: int
    received: int


class _ConnectionTracker:
    """Counts lost connections and the time without one; times in monotonic seconds."""

    def __init__(self, now: float) -> None:
        self.parser: EventParser | None = None
        self._feed = Feed()
        self._ended: EndedConnection | None = None
        self._disconnected_since: float | None = now
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
        ended, self._ended = self._ended, None
        return ended

    def disconnected(self, now: float, client_id: int | None) -> bool:
        """The connection has ended; False if that is known, since nats-py may report it twice."""
        if self._disconnected_since is not None or self.parser is None:
            return False
        self._disconnected_since = now
        self._feed.lost += 1
        received = self.parser.received
        if client_id is not None:
            self._ended = EndedConnection(client_id, received - self._counted)
        self._counted = received
        return True

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, and with it the subscription."""
        return self._disconnected_since is None

    def add_discarded(self, events: int) -> int:
        """Count events that the server discarded; returns their number, at least 0."""
        self._feed.cut += max(0, events)
        return max(0, events)

    def feed(self, now: float) -> Feed:
        """The counts, the present time without a connection included."""
        since = self._disconnected_since
        without = 0.0 if since is None else now - since
        return replace(self._feed, seconds_without=self._feed.seconds_without + without)


class NatsSource:
    """An event source: a subscription to the events, renewed whenever the connection breaks."""

    def __init__(self, take: Callable[[Sequence[bytes]], None], settings: Settings) -> None:
        """`take` is called with the events of each read."""
        self._take = take
        self._settings = settings
        self._tracker = _ConnectionTracker(time.monotonic())
        self._client: Client | None = None
        self._subscription: Subscription | None = None
        self._running: asyncio.Task[None] | None = None
        self._monitor_requests: set[asyncio.Task[None]] = set()
        self._stopped = threading.Event()

    async def start(self) -> None:
        """Start to connect, without waiting for the connection."""
        self._running = asyncio.create_task(self._run_or_exit())

    @property
    def feed(self) -> Feed:
        """Counts of lost connections and discarded events."""
        return self._tracker.feed(time.monotonic())

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._tracker.is_connected

    async def _run_or_exit(self) -> None:
        try:
            await self._run()
        except Exception as error:  # no task awaits this one: events would stop unnoticed
            logger.exception("the source of events has failed")
            raise SystemExit(1) from error

    async def _run(self) -> None:
        """Connect and subscribe; again when the client has closed for good."""
        while not self._stopped.is_set():
            client, closed = await nats_connection.connect(
                self._make_client,
                self._settings,
                name="dsiem-shards router",
                on_connected=self._on_connected,
                on_disconnected=self._on_disconnected,
            )
            with suppress(nats.errors.Error):  # closed already
                self._subscription = await client.subscribe(EVENTS_SUBJECT)
                await client.flush()
                self._on_connected()
            await closed.wait()
            await asyncio.sleep(RETRY_SECONDS)

    def _make_client(self) -> Client:
        """A client whose parser passes on all events of a read at once."""
        self._client = client = Client()
        parser = client._ps = EventParser(client, EVENTS_SUBJECT, self._take)
        self._tracker.use_parser(parser)
        return client

    def _on_connected(self) -> None:
        ended = self._tracker.connected(time.monotonic())
        about = {"server": self._settings.redacted("msq"), "subject": EVENTS_SUBJECT}
        logger.bind(**about).info("receiving events from NATS")
        if ended is not None and self._settings.nats_monitor:
            request = asyncio.create_task(self._count_discarded(ended))
            self._monitor_requests.add(request)
            request.add_done_callback(self._monitor_requests.discard)

    def _on_disconnected(self) -> None:
        if self._stopped.is_set() or self._client is None:
            return
        if self._tracker.disconnected(time.monotonic(), self._client.client_id):
            logger.bind(server=self._settings.redacted("msq")).warning(
                "the connection to NATS is lost: events that are published meanwhile do not arrive"
            )

    async def _count_discarded(self, ended: EndedConnection) -> None:
        """Ask the server's monitoring how many events it discarded for an ended connection."""
        end = await asyncio.to_thread(
            nats_monitor.connection_end,
            self._settings.nats_monitor,
            ended.client_id,
            self._stopped,
        )
        if end is None:
            return
        discarded = self._tracker.add_discarded(end.sent - ended.received)
        logger.bind(reason=end.reason, events=discarded).warning(
            "the NATS server has discarded events"
        )

    async def stop(self) -> None:
        """Take the events that the server has sent until now, and close."""
        self._stopped.set()
        if self._client is not None and self._client.is_connected and self._subscription:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._subscription.unsubscribe()
                    await self._client.flush(_STOP_SECONDS)
        for task in (self._running, *self._monitor_requests):
            if task is not None:
                task.cancel()
        if self._client is not None:
            await nats_connection.close(self._client)
