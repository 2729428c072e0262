"""Overload signals to the frontend, over a NATS connection of the supervisor's own."""

import asyncio
import time
from collections import deque
from contextlib import suppress

from loguru import logger
from nats.aio.client import Client

from shards.settings.settings import Settings
from shards.sources import nats_connection
from shards.sources.nats_connection import OVERLOAD_SUBJECT, RETRY_SECONDS

_CHECK_SECONDS = 0.25


class OverloadDetector:
    """Whether the service is overloaded; times in seconds of a monotonic clock."""

    def __init__(self, hold_seconds: float) -> None:
        self._hold = hold_seconds
        self._last_late = 0.0
        self._overloaded = False

    def report_late(self, now: float) -> bool:
        """An event was taken late; returns whether overload begins with it."""
        self._last_late = now
        begins, self._overloaded = not self._overloaded, True
        return begins

    def ends(self, now: float) -> bool:
        """Whether overload ends now: no event was late for the hold duration."""
        ends = self._overloaded and now - self._last_late >= self._hold
        if ends:
            self._overloaded = False
        return ends


class OverloadSignals:
    """Publishes `true` when overload begins, `false` when it ends, and `false` at the start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._detector = OverloadDetector(settings.hold_duration)
        # While NATS is away only the latest change matters to a frontend.
        self._unsent: deque[bool] = deque([False], maxlen=2)
        self._changed = asyncio.Event()

    def report_late(self) -> None:
        """Events were taken later than max-delay after their receipt."""
        if self._detector.report_late(time.monotonic()):
            logger.warning("overload: events are taken later than max-delay after their receipt")
            self._enqueue(True)

    def _enqueue(self, overloaded: bool) -> None:
        self._unsent.append(overloaded)
        self._changed.set()

    async def run(self) -> None:
        """Connect and publish, until cancelled."""
        while True:
            client, closed = await nats_connection.connect(
                Client, self._settings, name="dsiem-shards supervisor"
            )
            try:
                await self._publish(client, closed)
            except Exception as error:  # correlation goes on without signals
                logger.bind(why=str(error)).error("overload signals cannot be published")
            finally:
                await nats_connection.close(client)
            await asyncio.sleep(RETRY_SECONDS)

    async def _publish(self, client: Client, closed: asyncio.Event) -> None:
        """Publish changes until the client is closed."""
        while not closed.is_set():
            if self._detector.ends(time.monotonic()):
                logger.info("the overload is over")
                self._enqueue(False)
            while self._unsent:
                await client.publish(OVERLOAD_SUBJECT, b"true" if self._unsent[0] else b"false")
                self._unsent.popleft()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._changed.wait()
