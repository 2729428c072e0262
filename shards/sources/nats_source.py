"""Events over NATS: one a message, from the subject that a Dsiem frontend publishes on.

What may live here: the connection that events come from, and what is known of those that do not
come. What may not: what an event means, and the ledger's sums: both are the Intake's.
"""

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
"""For what is on its way from the server at a stop."""
# What the client reads at once is 32 KiB; for large reads, large batches, there is no option.
nats.aio.client.DEFAULT_BUFFER_SIZE = READ_BYTES


class EndedConnection(NamedTuple):
    """One that has ended: the server's number for it, and the events that came over it."""

    client_id: int
    received: int


class _Link:
    """Keeps count of connections; times in seconds of a clock that never goes back."""

    def __init__(self, now: float) -> None:
        self.parser: EventParser | None = None
        self._feed = Feed()
        self._before: EndedConnection | None = None
        self._down_since: float | None = now
        self._counted = 0
        """Events of the parser that came over connections that have ended."""

    def renew(self, parser: EventParser) -> None:
        """A new client begins, with a parser of its own."""
        self.parser, self._counted = parser, 0

    def up(self, now: float) -> EndedConnection | None:
        """There is a connection; returns the one before, if there was one."""
        if self._down_since is not None:
            self._feed.seconds_without += now - self._down_since
            self._down_since = None
        before, self._before = self._before, None
        return before

    def down(self, now: float, client_id: int | None) -> bool:
        """The connection has ended; whether that is news: it is said twice of some."""
        if self._down_since is not None or self.parser is None:
            return False
        self._down_since = now
        self._feed.lost += 1
        received = self.parser.received
        if client_id is not None:
            self._before = EndedConnection(client_id, received - self._counted)
        self._counted = received
        return True

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, and the subscription with it."""
        return self._down_since is None

    def cut(self, events: int) -> int:
        """The server had so many more for a connection than came over it; returns them."""
        self._feed.cut += max(0, events)
        return max(0, events)

    def feed(self, now: float) -> Feed:
        """All that is known, as of now."""
        down = 0.0 if self._down_since is None else now - self._down_since
        return replace(self._feed, seconds_without=self._feed.seconds_without + down)


class NatsSource:
    """The subscription to the events, connected again whenever it breaks."""

    def __init__(self, take: Callable[[Sequence[bytes]], None], settings: Settings) -> None:
        """`take` gets the events of each read."""
        self._take = take
        self._settings = settings
        self._link = _Link(time.monotonic())
        self._client: Client | None = None
        self._subscription: Subscription | None = None
        self._running: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._stopped = threading.Event()

    async def start(self) -> None:
        """Begin to connect; it does not wait for that."""
        self._running = asyncio.create_task(self._run_for_ever())

    @property
    def feed(self) -> Feed:
        """What is known of the connections so far."""
        return self._link.feed(time.monotonic())

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._link.is_up

    async def _run_for_ever(self) -> None:
        try:
            await self._run()
        except Exception as error:  # nobody waits for this task, and nothing would come any more
            logger.exception("the source of events has failed")
            raise SystemExit(1) from error

    async def _run(self) -> None:
        """Connect, and once more whenever the client has given up for good."""
        while not self._stopped.is_set():
            client, closed = await nats_connection.connect(
                self._make, self._settings, name="dsiem-shards router", up=self._up, down=self._down
            )
            with suppress(nats.errors.Error):  # closed already
                self._subscription = await client.subscribe(EVENTS_SUBJECT)
                await client.flush()
                self._up()
            await closed.wait()
            await asyncio.sleep(RETRY_SECONDS)

    def _make(self) -> Client:
        """A client with a parser that hands on events in bulk."""
        self._client = client = Client()
        parser = client._ps = EventParser(client, EVENTS_SUBJECT, self._take)
        self._link.renew(parser)
        return client

    def _up(self) -> None:
        before = self._link.up(time.monotonic())
        about = {"server": self._settings.redacted("msq"), "subject": EVENTS_SUBJECT}
        logger.bind(**about).info("receiving events from NATS")
        if before is not None and self._settings.nats_monitor:
            asking = asyncio.create_task(self._ask(before))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)

    def _down(self) -> None:
        if self._stopped.is_set() or self._client is None:
            return
        if self._link.down(time.monotonic(), self._client.client_id):
            logger.bind(server=self._settings.redacted("msq")).warning(
                "the connection to NATS is lost: events that are published meanwhile do not arrive"
            )

    async def _ask(self, before: EndedConnection) -> None:
        """Learn from the server what it had for a connection that has ended and did not send."""
        end = await asyncio.to_thread(
            nats_monitor.connection_end,
            self._settings.nats_monitor,
            before.client_id,
            self._stopped,
        )
        if end is None:
            return
        cut = self._link.cut(end.sent - before.received)
        logger.bind(reason=end.reason, events=cut).warning("the NATS server has cut events")

    async def stop(self) -> None:
        """Take what the server has for us until now, and close."""
        self._stopped.set()
        if self._client is not None and self._client.is_connected and self._subscription:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._subscription.unsubscribe()
                    await self._client.flush(_STOP_SECONDS)
        for task in (self._running, *self._asking):
            if task is not None:
                task.cancel()
        if self._client is not None:
            await nats_connection.close(self._client)
