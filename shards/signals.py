"""The overload signals to the frontend, over a NATS connection of the supervisor's own."""

import asyncio
import time
from collections import deque
from contextlib import suppress

from loguru import logger
from nats.aio.client import Client

from shards import nats_client
from shards.nats_client import RETRY_SECONDS, SIGNALS
from shards.overload import Overload
from shards.settings import Settings

_TICK_SECONDS = 0.25


class Signals:
    """Publishes `true` when events are taken late, `false` when that is over, and at the start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._overload = Overload(settings.hold_duration)
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
            client, closed = await nats_client.connect(
                Client, self._settings, name="dsiem-shards supervisor"
            )
            try:
                await self._publish(client, closed)
            except Exception as error:  # correlation goes on without
                logger.bind(why=str(error)).error("overload signals cannot be published")
            finally:
                await nats_client.close(client)
            await asyncio.sleep(RETRY_SECONDS)

    async def _publish(self, client: Client, closed: asyncio.Event) -> None:
        """Publish what there is to say, until the client is closed."""
        while not closed.is_set():
            if self._overload.over(time.monotonic()):
                logger.info("the overload is over")
                self._say(False)
            while self._unsent:
                await client.publish(SIGNALS, b"true" if self._unsent[0] else b"false")
                self._unsent.popleft()
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _TICK_SECONDS)
