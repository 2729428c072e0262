"""Events over NATS: one a message, from the subject that a Dsiem frontend publishes on."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import nats.errors
from loguru import logger
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from shards.cancellation import cancel
from shards.ledger import Feed
from shards.settings.settings import Settings
from shards.sources import nats_connection, nats_monitor
from shards.sources.connection_tracker import ConnectionTracker, EndedConnection
from shards.sources.nats_client import EventClient
from shards.sources.nats_connection import EVENTS_SUBJECT, RETRY_SECONDS
from shards.sources.nats_parser import EventParser

_STOP_SECONDS = 2
"""Longest wait, at a stop, for messages that are on their way from the server."""


class NatsSource:
    """An event source: a subscription to the events, renewed whenever the connection breaks."""

    def __init__(
        self, take: Callable[[Sequence[bytes]], None], settings: Settings, down_since: float
    ) -> None:
        """`take` is called with the events of each read.

        `down_since`: from this time on, in monotonic seconds, no source has received events.
        """
        self._take = take
        self._settings = settings
        self._tracker = ConnectionTracker(down_since)
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
    def lag(self) -> int:
        """0: what has not been read is not known."""
        return 0

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
        self._client = client = EventClient()
        parser = EventParser(client, EVENTS_SUBJECT, self._take)
        client.use_parser(parser)
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
        discarded = self._tracker.add_end(ended, end, time.monotonic())
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
        await cancel(self._running, *self._monitor_requests)
        if self._client is not None:
            await nats_connection.close(self._client)
