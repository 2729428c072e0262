"""Asks for reloads by itself: when files change, with --watch, and with --frontend-poll.

A file of its own: the reloader does not know what asks for reloads.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from shards.config.folder_watcher import FolderWatcher
from shards.ops.reload_outcome import Trigger


@asynccontextmanager
async def run_triggers(
    watcher: FolderWatcher | None, poll_seconds: int, request: Callable[[Trigger], None]
) -> AsyncIterator[None]:
    """Ask for reloads while the context is active.

    `watcher`: of the config folder, if it is to be watched; `poll_seconds`: 0 for never.
    """
    async with asyncio.TaskGroup() as group:
        tasks = []
        if watcher is not None:
            tasks.append(group.create_task(watcher.run(lambda: request("watch"))))
        if poll_seconds:
            tasks.append(group.create_task(_poll(poll_seconds, request)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _poll(seconds: int, request: Callable[[Trigger], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        request("frontend-poll")
