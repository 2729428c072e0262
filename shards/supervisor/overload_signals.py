"""The overload signals to the frontend, over a NATS connection of the supervisor's own."""

import asyncio
import time
from collections import deque
from contextlib import suppress

from loguru import logger
from nats.aio.client import Client

from shards.settings.settings import Settings
from shards.sources import nats_connection
from shards.sources.nats_connection import OVERLOAD_SUBJECT, RETRY_SECONDS

_TICK_SECONDS = 0.25


class OverloadDetector:
    """Told of events that were taken late, and of the time; says what to tell the frontend."""

    def __init__(self, hold_seconds: float) -> None:
        self._hold = hold_seconds
        self._last = 0.0
        self._on = False

    def late(self, now: float) -> bool:
        """An event was taken late; whether to say so: not again before it is over."""
        self._last = now
        begins, self._on = not self._on, True
        return begins

    def over(self, now: float) -> bool:
        """Whether to say that it is over: none was late for the hold duration."""
        ends = self._on and now - self._last >= self._hold
        if ends:
            self._on = False
        return ends


class OverloadSignals:
    """Publishes `true` when events are taken late, `false` when that is over, and at the start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._overload = OverloadDetector(settings.hold_duration)
        # Those that nobody could be told: only how it ended is of use to whoever comes later.
        self._unsent: deque[bool] = deque([False], maxlen=2)
        self._changed = asyncio.Event()

    def late(self) -> None:
        """Events were taken later than they should be."""
        if self._overload.late(time.monotonic()):
            logger.warning("overload: events are taken later than max-delay after their receipt")
            self._say(True)

    def _say(self, overloaded: bool) -> None:
        self._unsent.append(overloaded)
        self._changed.set()

    async def run(self) -> None:
        """Publish, until cancelled."""
        while True:
            client, closed = await nats_connection.connect(
                Client, self._settings, name="dsiem-shards supervisor"
            )
            try:
                await self._publish(client, closed)
            except Exception as error:  # correlation goes on without
                logger.bind(why=str(error)).error("overload signals cannot be published")
            finally:
                await nats_connection.close(client)
            await asyncio.sleep(RETRY_SECONDS)

    async def _publish(self, client: Client, closed: asyncio.Event) -> None:
        """Publish what there is to say, until the client is closed."""
        while not closed.is_set():
            if self._overload.over(time.monotonic()):
                logger.info("the overload is over")
                self._say(False)
            while self._unsent:
                await client.publish(OVERLOAD_SUBJECT, b"true" if self._unsent[0] else b"false")
                self._unsent.popleft()
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _TICK_SECONDS)
