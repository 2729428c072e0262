"""Reloads the configuration while events flow: load, hand over, tell what became of it.

One reload at a time. Requests that come meanwhile share the next one, which sees the files as they
are after the last of these requests.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from shards.config.generation import ConfigChanges, LoadRequest, LoadResult
from shards.ipc.forked_process import ForkServer
from shards.ops.reload_outcome import ReloadOutcome, Trigger
from shards.settings.settings import Settings
from shards.supervisor.config_loading import load_config
from shards.supervisor.generations import Generation, Generations

_TOO_MANY = (
    "checkpoints of the workers are too old: they need the configurations before this one, "
    "and the disk may be full"
)
_NO_RESOURCES = "the configuration cannot be loaded"
_STOPPING = "the service is stopping"
_DOWNLOADING: tuple[Trigger, ...] = ("SIGHUP", "POST /reload", "frontend-poll")
"""Triggers that ask for a download first, where there is a frontend."""
_CHECKPOINT_SECONDS = 10.0
"""Longest wait for checkpoints of the workers that make older configurations superfluous."""
_LOOK_SECONDS = 0.05


class Reloader:
    """All reloads of a service."""

    def __init__(
        self,
        settings: Settings,
        fork_server: ForkServer,
        generations: Generations,
        switch_to: Callable[[Generation], Awaitable[None]],
        use: Callable[[Generation, ConfigChanges], None],
        note: Callable[[ReloadOutcome], None],
    ) -> None:
        """`switch_to`: lets the children switch; `use`: what else there is to do once they have.

        `note`: takes each outcome.
        """
        self._settings = settings
        self._fork_server = fork_server
        self._generations = generations
        self._switch_to = switch_to
        self._use = use
        self._note = note
        self._requested = asyncio.Event()
        self._triggers: list[Trigger] = []
        self._waiting: list[asyncio.Future[ReloadOutcome]] = []
        self._is_stopping = False
        self._last: ReloadOutcome | None = None

    def request(self, trigger: Trigger) -> None:
        """Reload soon; nobody waits for the outcome."""
        if trigger not in self._triggers:
            self._triggers.append(trigger)
        self._requested.set()

    async def reload(self) -> ReloadOutcome:
        """Reload, and wait for the outcome, for POST /reload."""
        if self._is_stopping:
            return self._outcome("POST /reload", time.monotonic(), error=_STOPPING)
        outcome: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(outcome)
        self.request("POST /reload")
        return await asyncio.shield(outcome)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work on requests while the context is active; the last one may be broken off."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._run())
            try:
                yield
            finally:
                task.cancel()
        self.close()

    def close(self) -> None:
        """Answer all who wait that the service is stopping."""
        self._is_stopping = True
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set_result(self._outcome("POST /reload", time.monotonic(), error=_STOPPING))

    async def _run(self) -> None:
        while True:
            await self._requested.wait()
            self._requested.clear()
            triggers, self._triggers = self._triggers, []
            number = len(self._waiting)
            outcome = await self._reload(triggers)
            self._note(outcome)
            if triggers != ["frontend-poll"] or self._is_news(outcome):
                outcome.log()
            self._last = outcome
            waiting, self._waiting = self._waiting[:number], self._waiting[number:]
            for future in waiting:
                if not future.done():
                    future.set_result(outcome)

    def _is_news(self, outcome: ReloadOutcome) -> bool:
        """Whether a poll has found something that the one before has not."""
        last = self._last
        if outcome.result != "failed" or last is None:
            return outcome.result != "unchanged"
        return (outcome.error, outcome.problems) != (last.error, last.problems)

    async def _reload(self, triggers: list[Trigger]) -> ReloadOutcome:
        """One reload; the outcome has the first of the triggers."""
        began, settings = time.monotonic(), self._settings
        if await self._are_too_many():
            return self._outcome(triggers[0], began, error=_TOO_MANY)
        has_frontend = settings.mode == "cluster-backend"
        download = has_frontend and any(trigger in _DOWNLOADING for trigger in triggers)
        request = LoadRequest(download, is_start=False, wait_seconds=settings.frontend_wait)
        try:
            running = self._generations.running()
        except OSError as error:
            return self._outcome(triggers[0], began, error=f"{_NO_RESOURCES}: {error.strerror}")
        result, parts = await load_config(self._fork_server, settings, request, running)
        running.former.close()
        if result.summary is None or parts is None:
            return self._outcome(triggers[0], began, result, error=result.error)
        if result.changes.any:
            number = self._generations.current.number + 1
            await self._switch_to(Generation(number, parts, result.summary))
        else:
            self._generations.confirm(result.summary)
        self._use(self._generations.current, result.changes)
        return self._outcome(triggers[0], began, result, successful=True)

    async def _are_too_many(self) -> bool:
        """Whether no generation may begin, after a wait for checkpoints."""
        until = time.monotonic() + _CHECKPOINT_SECONDS
        while self._generations.are_too_many and time.monotonic() < until:
            await asyncio.sleep(_LOOK_SECONDS)
        return self._generations.are_too_many

    def _outcome(
        self,
        trigger: Trigger,
        began: float,
        result: LoadResult | None = None,
        *,
        successful: bool = False,
        error: str = "",
    ) -> ReloadOutcome:
        result = result or LoadResult(None)
        return ReloadOutcome(
            generation=self._generations.current.number,
            successful=successful,
            trigger=trigger,
            at=time.time(),
            milliseconds=round(1000 * (time.monotonic() - began)),
            changes=result.changes,
            problems=result.problems,
            unlisted=result.unlisted,
            error=error,
        )
