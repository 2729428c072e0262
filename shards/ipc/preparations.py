"""Configurations that a child loads ahead of their use, while it goes on with its work."""

import asyncio
import os
from collections.abc import Callable
from typing import Generic, TypeVar

from loguru import logger

from shards.ipc.control import ControlChannel
from shards.ipc.fork_server import FAILED
from shards.ipc.messages import Prepared
from shards.ipc.shared_value import SharedValue
from shards.progress import TrackProgress, pausing

T = TypeVar("T")
Load = Callable[[int, SharedValue, TrackProgress], T]
"""Loads the configuration of a generation. It may run in a thread, which it lets pause."""


class Preparations(Generic[T]):
    """Configurations by generation; those that are loaded are reported to the supervisor."""

    def __init__(self, control: ControlChannel, load: Load[T]) -> None:
        self._control = control
        self._load = load
        self._waiting: dict[int, SharedValue] = {}
        """Those that are not loaded yet."""
        self._loaded: dict[int, T] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, generation: int, value: SharedValue) -> None:
        """Load a configuration in the background, after those that were added before."""
        self._waiting[generation] = value
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._load_all())

    async def _load_all(self) -> None:
        while self._waiting:
            generation, value = next(iter(self._waiting.items()))
            try:
                loaded = await asyncio.to_thread(self._load, generation, value, pausing)
            except Exception:
                logger.exception("a process has failed")
                os._exit(FAILED)
            if self._waiting.pop(generation, None) is None:
                continue  # it was needed meanwhile
            value.close()
            self._loaded[generation] = loaded
            self._control.send(Prepared(generation))

    def take(self, generation: int, track_progress: TrackProgress) -> T:
        """The configuration of a generation, and forget all before; loads it now if need be."""
        for earlier in [number for number in self._waiting if number < generation]:
            del self._waiting[earlier]
        for earlier in [number for number in self._loaded if number < generation]:
            del self._loaded[earlier]
        if generation in self._loaded:
            return self._loaded.pop(generation)
        return self._load(generation, self._waiting.pop(generation), track_progress)
