"""Periodic calls in an event loop.

A leaf of its own, since all kinds of process use it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def run_every(seconds: float, act: Callable[[], None]) -> AsyncIterator[None]:
    """Call `act` every `seconds` while the context is active; its exceptions end the context."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            act()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(repeat())
        try:
            yield
        finally:
            task.cancel()
