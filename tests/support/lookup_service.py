"""Lookups in a loop, as a worker has them, and what they have delivered."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.alarm import Hit, LookupRequest
from shards.lookups.limits import LookupLimits, LookupOptions
from shards.lookups.plugins.api import LookupKind
from shards.lookups.service import LookupService
from shards.lookups.source_config import LookupSource

LIMITS = LookupLimits(
    threads=4, seconds=0.3, grace=5.0, size=1000, hits=10, text=500, failures=100, rest=30.0
)
"""So small that every bound is met, but for the breaker, which tests of others do not need."""

Told = tuple[Any, tuple[Hit, ...], LookupKind]


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Lookups, and what they have told."""

    def __init__(
        self,
        *sources: LookupSource,
        limits: LookupLimits = LIMITS,
        options: LookupOptions | None = None,
    ) -> None:
        self.told: list[Told] = []
        self.clock = Clock()
        self._loop = asyncio.get_running_loop()
        self.lookups = LookupService(
            sources, self._deliver, options or LookupOptions(), limits, self.clock
        )

    def _deliver(self, alarm: Any, hits: tuple[Hit, ...], kind: LookupKind) -> None:
        assert asyncio.get_running_loop() is self._loop
        self.told.append((alarm, hits, kind))

    def ask(self, alarm: str, *terms: str | tuple[str, int]) -> None:
        """Ask for addresses, and for pairs."""
        addresses = tuple(term for term in terms if isinstance(term, str))
        pairs = tuple(term for term in terms if not isinstance(term, str))
        self.lookups.ask(alarm, LookupRequest(addresses, pairs))

    def counts(self) -> dict[str, Any]:
        """What is counted of the only source, without what is 0."""
        [counted] = self.lookups.counts.values()
        [state] = counted.breakers or [""]
        counts = msgspec.to_builtins(replace(counted, breakers=Counter()))
        return {"breaker": state, **{name: count for name, count in counts.items() if count}}

    async def until(self, happened: Callable[[], object], seconds: float = 5.0) -> None:
        """Give the loop its turns until something has happened."""
        until = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < until, f"{self.lookups.counts} {self.told}"
            await asyncio.sleep(0.002)

    async def answered(self) -> None:
        """Wait until nothing is on its way."""
        await self.until(lambda: not any(c.waiting for c in self.lookups.counts.values()))

    async def asked(self, alarm: str, *terms: str | tuple[str, int]) -> None:
        """Ask, and wait until all is answered."""
        self.ask(alarm, *terms)
        await self.answered()


@asynccontextmanager
async def desk(
    *sources: LookupSource, limits: LookupLimits = LIMITS, options: LookupOptions | None = None
) -> AsyncIterator[Desk]:
    """Lookups, which are closed at the end."""
    opened = Desk(*sources, limits=limits, options=options)
    try:
        yield opened
    finally:
        opened.lookups.close(5)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a loop of its own."""

    @wraps(test)
    def run(**arguments: Any) -> None:
        asyncio.run(without_faults(test(**arguments)))

    return run


async def without_faults(test: Coroutine[Any, Any, None]) -> None:
    """Await what must not leave an exception in a callback of the loop."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: faults.append(about))
    await test
    await asyncio.sleep(0)
    assert faults == []


def intel(url: str, plugin: str = "Wise", name: str = "intel", **options: Any) -> LookupSource:
    """A source that is asked at /ip/ of a server."""
    url = f"{url}/ip/${{ip}}"
    return LookupSource(name, plugin, "intel", url, {"url": url, **options})


def vuln(url: str, plugin: str = "Nesd", name: str = "vuln", **options: Any) -> LookupSource:
    """A source that is asked with a query."""
    url = f"{url}/?ip=${{ip}}&port=${{port}}"
    return LookupSource(name, plugin, "vuln", url, {"url": url, **options})
