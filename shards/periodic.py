"""Periodic calls in an event loop.

A leaf of its own, since all kinds of process use it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def run_every(
    seconds: float, act: Callable[[], Awaitable[None] | None]
) -> AsyncIterator[None]:
    """Call `act`, or await it, every `seconds` while the context is active.

    Its exceptions end the context.
    """

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            if (waiting := act()) is not None:
                await waiting

    async with asyncio.TaskGroup() as group:
        task = group.create_task(repeat())
        try:
            yield
        finally:
            task.cancel()
