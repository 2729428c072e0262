"""What asks for reloads by itself: changed files, with --watch, and --frontend-poll."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from shards.ops.reload_outcome import Trigger
from shards.settings.settings import Settings


@asynccontextmanager
async def run_triggers(
    settings: Settings, request: Callable[[Trigger], None]
) -> AsyncIterator[None]:
    """Ask for reloads while the context is active, as the settings want it."""
    async with asyncio.TaskGroup() as group:
        tasks = []
        if settings.watch:
            tasks.append(group.create_task(_watch(settings, request)))
        if settings.frontend_poll:
            tasks.append(group.create_task(_poll(settings, request)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _watch(settings: Settings, request: Callable[[Trigger], None]) -> None:
    from shards.config.watcher import changes_of_folder  # noqa: PLC0415 - few watch

    async for _ in changes_of_folder(settings.config_dir):
        request("watch")


async def _poll(settings: Settings, request: Callable[[Trigger], None]) -> None:
    while True:
        await asyncio.sleep(settings.frontend_poll)
        request("frontend-poll")
