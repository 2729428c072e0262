"""Runs the loader, a process that reads the configuration, and waits for its result."""

import asyncio
import time
from typing import NamedTuple, Self

from shards.config.generation import ConfigParts, LoadRequest, LoadResult, RunningConfig
from shards.exit_codes import INVALID
from shards.ipc.child import ChildProcess, end_hung
from shards.ipc.forked_process import ForkServer
from shards.periodic import run_every
from shards.settings.settings import Settings

LOADER = "config-loader"
"""Name of the process."""
LOADER_TARGET = "shards.config.loader:main"
"""As shards/config/loader.py has it, which only its process imports."""
_CHECK_SECONDS = 1.0


class Loaded(NamedTuple):
    """What became of loading a configuration; its parts, if there was a process for it."""

    result: LoadResult
    parts: ConfigParts | None


class ConfigLoading:
    """A configuration that a process of its own loads from now on.

    At the end of the context the process is killed, if nobody has waited for its result.
    """

    def __init__(
        self,
        fork_server: ForkServer,
        settings: Settings,
        request: LoadRequest,
        running: RunningConfig | None,
    ) -> None:
        """`running`: the configuration that runs, if there is one."""
        self._hang_timeout = settings.hang_timeout
        self._started: tuple[ChildProcess, ConfigParts] | None = None
        self._trouble = ""
        try:
            parts = ConfigParts.create(settings.workers)
            child = ChildProcess(
                fork_server, LOADER, LOADER_TARGET, settings, request, running, parts
            )
        except OSError as error:
            self._trouble = f"the configuration cannot be loaded: {error.strerror}"
        else:
            self._started = child, parts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._started is not None:
            self._started[0].kill()

    async def finish(self) -> Loaded:
        """Wait for the result, once; the process is killed when this is cancelled.

        Without progress for the hang timeout it is killed, which is a fault of the result, like any
        other trouble with it.
        """
        if self._started is None:
            return _failed(self._trouble)
        child, parts = self._started
        if code := await _run(child, self._hang_timeout):
            return _failed(f"the process that loads the configuration has ended with {code}")
        return Loaded(parts.result.load(), parts)


async def load_config(
    fork_server: ForkServer,
    settings: Settings,
    request: LoadRequest,
    running: RunningConfig | None,
) -> Loaded:
    """As ConfigLoading, from begin to end."""
    return await ConfigLoading(fork_server, settings, request, running).finish()


async def _run(child: ChildProcess, hang_timeout: int) -> int:
    """Wait for the end of the process; returns its exit code."""
    heard_at = time.monotonic()
    ending: list[asyncio.Task[None]] = []

    def note_progress(_: object) -> None:
        nonlocal heard_at
        heard_at = time.monotonic()

    def check() -> None:
        silent = time.monotonic() - heard_at
        if 0 < hang_timeout <= silent and not ending:
            ending.append(asyncio.create_task(end_hung(child, silent)))

    async with run_every(_CHECK_SECONDS, check):
        try:
            return await child.handle_until_exit(note_progress)
        except asyncio.CancelledError:
            child.kill()
            await child.handle_until_exit(note_progress)
            raise


def _failed(error: str) -> Loaded:
    return Loaded(LoadResult(None, error=error, exit_code=INVALID), None)
