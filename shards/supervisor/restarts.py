"""Waits before a child is started again, or gives up."""

import asyncio
import time
from contextlib import suppress

from loguru import logger

from shards.supervisor.restart_policy import START_RETRY_SECONDS, RestartPolicy
from shards.supervisor.shutdown import Shutdown


class Restarts:
    """The restarts of one child."""

    def __init__(self, name: str, is_ready: asyncio.Event, shutdown: Shutdown) -> None:
        """`is_ready`: set once the child has been ready; `shutdown`: no wait goes beyond it."""
        self._name = name
        self._is_ready = is_ready
        self._shutdown = shutdown
        self._policy = RestartPolicy()

    async def wait_for_resources(self, error: OSError) -> None:
        """Wait before a start is tried again that failed for want of resources, or give up."""
        reason = f"{self._name} cannot be started: {error.strerror}"
        if not self._is_ready.is_set():
            self._shutdown.give_up(reason)
            return
        logger.error(reason)
        await self._wait(START_RETRY_SECONDS)

    async def wait(self, code: int) -> None:
        """Wait before the start that follows an end with this exit code, or give up."""
        if self._shutdown.is_requested:
            return
        name, delay = self._name, self._policy.next_delay(time.monotonic())
        if not self._is_ready.is_set():
            self._shutdown.give_up(f"{name} ended with {code} before it was ready")
        elif delay is None:
            self._shutdown.give_up(f"{name} has ended too often, now with {code}")
        else:
            logger.bind(process=name, code=code, restart_in=delay).error("a process has died")
            await self._wait(delay)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shutdown.requested.wait()
