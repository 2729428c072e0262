"""A running lookup service for tests, with all the results it has put on its queue."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.alarm import Hit, LookupKind, LookupRequest
from shards.lookups.limits import LookupLimits, LookupOptions
from shards.lookups.service import LookupHits, LookupsDone, LookupService
from shards.lookups.source_config import LookupSource

LIMITS = LookupLimits(
    threads=4,
    request_seconds=0.3,
    grace_seconds=5.0,
    reply_bytes=1000,
    answer_hits=10,
    answer_characters=500,
    breaker_failures=100,
    breaker_open_seconds=30.0,
)
"""Small enough that tests reach every limit; the breaker stays closed unless a test changes it."""

DIRECTIVE = 1
"""The directive of all backlogs; tests name a backlog by the rest of its key."""

DeliveredHits = tuple[str, tuple[Hit, ...], LookupKind]
"""Name of a backlog, hits, kind."""


class FakeClock:
    """A clock that shows `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class LookupHarness:
    """A lookup service, its tasks, and its results; created in a running loop."""

    def __init__(
        self,
        *sources: LookupSource,
        limits: LookupLimits = LIMITS,
        options: LookupOptions | None = None,
    ) -> None:
        self.delivered: list[DeliveredHits] = []
        """All hits that were on the queue, in order."""
        self.clock = FakeClock()
        self.service = LookupService(sources, options or LookupOptions(), limits, self.clock)
        self._outstanding: Counter[str] = Counter()
        """Requests by backlog that are not concluded."""
        self._tasks = [
            asyncio.create_task(self.service.run()),
            asyncio.create_task(self._drain()),
        ]

    async def _drain(self) -> None:
        while True:
            match await self.service.results.get():
                case LookupHits((_, name), kind, hits):
                    assert self._outstanding[name], "hits after LookupsDone"
                    self.delivered.append((name, hits, kind))
                case LookupsDone((_, name), requests):
                    self._outstanding[name] -= requests
                    assert self._outstanding[name] >= 0

    def request(self, name: str, *terms: str | tuple[str, int]) -> None:
        """Request addresses and pairs for a backlog."""
        addresses = tuple(term for term in terms if isinstance(term, str))
        pairs = tuple(term for term in terms if not isinstance(term, str))
        accepted = self.service.request((DIRECTIVE, name), LookupRequest(addresses, pairs))
        self._outstanding[name] += accepted

    def counts(self) -> dict[str, Any]:
        """The counts of the only source, without those that are 0."""
        [counted] = self.service.counts.values()
        [state] = counted.breakers or [""]
        counts = msgspec.to_builtins(replace(counted, breakers=Counter()))
        return {"breaker": state, **{name: count for name, count in counts.items() if count}}

    def has_free_thread(self) -> bool:
        """Whether a lookup in the only source would start at once."""
        [client] = self.service._clients.values()
        return client._pool.has_free_thread()

    async def wait_until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        """Let the loop run until a condition holds, or a task of the service fails."""
        until = time.monotonic() + seconds
        while not condition():
            self.raise_failures()
            assert time.monotonic() < until, f"{self.service.counts} {self.delivered}"
            await asyncio.sleep(0.002)

    async def wait_until_done(self) -> None:
        """Wait until every request is concluded by LookupsDone."""
        await self.wait_until(lambda: not self._outstanding.total())
        assert not any(counts.waiting for counts in self.service.counts.values())

    async def look_up(self, name: str, *terms: str | tuple[str, int]) -> None:
        """Request terms, and wait until all requests are concluded."""
        self.request(name, *terms)
        await self.wait_until_done()

    async def stop(self) -> None:
        """Close the service, wait for its threads, and end its tasks; raises what they raised."""
        self.service.close(5)
        self.raise_failures()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def raise_failures(self) -> None:
        """Raise the exception of a task that has failed."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()


@asynccontextmanager
async def running_lookups(
    *sources: LookupSource, limits: LookupLimits = LIMITS, options: LookupOptions | None = None
) -> AsyncIterator[LookupHarness]:
    """A lookup service that is stopped at the end."""
    harness = LookupHarness(*sources, limits=limits, options=options)
    try:
        yield harness
    finally:
        await harness.stop()


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in an event loop of its own."""

    @wraps(test)
    def run(**arguments: Any) -> None:
        asyncio.run(fail_on_loop_errors(test(**arguments)))

    return run


async def fail_on_loop_errors(test: Coroutine[Any, Any, None]) -> None:
    """Await a test, and fail if a callback of the loop has raised an exception."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
    await test
    await asyncio.sleep(0)
    assert errors == []


def intel(url: str, plugin: str = "Wise", name: str = "intel", **options: Any) -> LookupSource:
    """A source of intel at /ip/ of a server."""
    url = f"{url}/ip/${{ip}}"
    return LookupSource(name, plugin, "intel", url, {"url": url, **options})


def vuln(url: str, plugin: str = "Nesd", name: str = "vuln", **options: Any) -> LookupSource:
    """A source of vulnerabilities, with the address and port in the query."""
    url = f"{url}/?ip=${{ip}}&port=${{port}}"
    return LookupSource(name, plugin, "vuln", url, {"url": url, **options})
