"""The lookups of one worker: requests come in by a call, results go out through a queue."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Container, Iterable
from itertools import count

from msgspec import Struct

from engine.alarm import BacklogKey, Hit, LookupKind, LookupRequest
from shards.http_client import TransportOptions
from shards.ledger import FORMER, LookupCounts, add_counts
from shards.lookups.limits import LookupLimits, LookupOptions
from shards.lookups.plugin_runner import PluginRunner
from shards.lookups.source_client import OnAnswered, SettledTerm, SourceClient
from shards.lookups.source_config import LookupSource
from shards.lookups.terms import requested_terms, should_look_up
from shards.lookups.turn_limit import TurnLimit

_NON_WORD = re.compile(r"\W+")
_LIMITS = LookupLimits()
_OPTIONS = LookupOptions()


class LookupHits(Struct, frozen=True):
    """Hits, at least one, for the alarm of a backlog."""

    backlog: BacklogKey
    kind: LookupKind
    hits: tuple[Hit, ...]


class LookupsDone(Struct, frozen=True):
    """No lookup of a backlog is outstanding.

    `requests`: number of requests for the backlog that this concludes. A later request may have
    been made since, if the result has waited in the queue.
    """

    backlog: BacklogKey
    requests: int


LookupResult = LookupHits | LookupsDone


class _Outstanding(Struct):
    """`lookups`: requests not yet started to the end, and terms for which the backlog waits."""

    requests: int = 0
    lookups: int = 0


class LookupService:
    """Looks up addresses and ports of alarms in all sources; created in a running event loop.

    The owner runs `run` as a task, and drains the queue `results`. `clock`: seconds, for the caches
    and the circuit breakers. A source is known by its kind and name, in letters, digits and
    underscores; further ones of the same kind and name get a number. `on_answered`: called with
    each answer of a source.
    """

    def __init__(
        self,
        sources: Iterable[LookupSource],
        options: LookupOptions = _OPTIONS,
        limits: LookupLimits = _LIMITS,
        clock: Callable[[], float] = time.monotonic,
        on_answered: OnAnswered | None = None,
    ) -> None:
        self.results: asyncio.Queue[LookupResult] = asyncio.Queue(limits.queued_results)
        self._options = options
        self._limits = limits
        self._clock = clock
        self._on_answered = on_answered
        self._is_closed = False
        self._requests: asyncio.Queue[tuple[BacklogKey, LookupRequest]] = asyncio.Queue(
            limits.queued_requests
        )
        self._settled: asyncio.Queue[SettledTerm | Exception] = asyncio.Queue()
        self._outstanding: dict[BacklogKey, _Outstanding] = {}
        self._clients: dict[str, SourceClient] = {}
        """The clients of the sources, by name."""
        self._retired: list[SourceClient] = []
        """The clients of sources that are gone, with lookups in progress; the oldest first."""
        self._former: dict[str, LookupCounts] = {}
        """The counts of sources that are gone, by name, in the order in which they went."""
        self._merged = LookupCounts()
        """The sum of those that are no longer in `_former`."""
        self.use_sources(sources)

    def use_sources(self, sources: Iterable[LookupSource]) -> None:
        """Look up terms in these sources from now on.

        Those that are as before keep their cache, circuit breaker and lookups in progress. Lookups
        in progress in the others still give hits; a new source goes on with the counts of a former
        one of its name.
        """
        new = list(sources)
        for name, client in list(self._clients.items()):
            if client.source in new:
                new.remove(client.source)
            else:
                self._retire(name)
        for source in new:
            name = _unused_name(source, self._clients)
            counts = self._former.pop(name, LookupCounts())
            self._clients[name] = self._create_client(source, counts)
        self._merge_former()

    def _retire(self, name: str) -> None:
        client = self._clients.pop(name)
        client.retire()
        self._former[name] = client.counts
        self._retired = [retired for retired in [*self._retired, client] if retired.is_busy]
        if len(self._retired) > self._limits.retired_sources:
            self._retired.pop(0).close("replaced")

    def _merge_former(self) -> None:
        """Merge the counts of the sources that went first, so that their number stays bounded."""
        final = [name for name, counts in self._former.items() if not counts.waiting]
        for name in final[: max(0, len(self._former) - self._limits.former_sources)]:
            add_counts(self._merged, self._former.pop(name))

    def request(self, backlog: BacklogKey, request: LookupRequest) -> bool:
        """Look up all terms of a request; False after `close`, or if too many requests wait.

        Each source that has hits for a term puts LookupHits on `results`. LookupsDone follows when
        all terms of all requests for this backlog are answered, have failed, or are rejected.
        """
        if self._is_closed:
            return False
        if self._requests.full():
            for client in self._clients.values():
                client.reject(len(requested_terms(client.source.kind, request)))
            return False
        outstanding = self._outstanding.setdefault(backlog, _Outstanding())
        outstanding.requests += 1
        outstanding.lookups += 1
        self._requests.put_nowait((backlog, request))
        return True

    async def run(self) -> None:
        """Work on requests, until cancelled; raise the exception if anything fails.

        At most `steps_per_turn` terms are started, and as many waiters notified, per turn of the
        event loop, so that neither long requests nor popular terms hold it up.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_requests())
            group.create_task(self._notify_waiters())

    @property
    def counts(self) -> dict[str, LookupCounts]:
        """The counts of each source, those that are gone included, by name; see FORMER."""
        counts = {name: client.counts for name, client in self._clients.items()} | self._former
        if self._merged.asked:
            counts[FORMER] = self._merged
        return counts

    def close(self, seconds: float = 0.0) -> None:
        """Abort all lookups, and wait up to `seconds` for the threads to end.

        The threads are daemons, so only tests that count threads have to wait.
        """
        self._is_closed = True
        clients = [*self._clients.values(), *self._retired]
        for client in clients:
            client.close("stopped")
        until = time.monotonic() + seconds
        for client in clients:
            client.join(until)

    def _create_client(self, source: LookupSource, counts: LookupCounts) -> SourceClient:
        options, limits = self._options, self._limits
        transport = TransportOptions(options.proxy, options.ca, read_timeout=limits.request_seconds)

        def create_runner(stop: threading.Event) -> PluginRunner:
            return PluginRunner(source, limits, transport, stop)

        seconds = options.cache_minutes * 60
        client = SourceClient(
            source, limits, seconds, create_runner, self._settled, counts, self._clock
        )
        client.on_answered = self._on_answered
        return client

    async def _start_requests(self) -> None:
        turn = TurnLimit(self._limits.steps_per_turn)
        private_addresses = self._options.private_addresses
        while True:
            backlog, request = await self._requests.get()
            for client in list(self._clients.values()):
                cached: list[Hit] = []
                kind = client.source.kind
                for term in requested_terms(kind, request):
                    if should_look_up(term, private_addresses=private_addresses):
                        cached += self._start_lookup(client, term, backlog)
                    await turn.step()
                if cached:
                    await self.results.put(LookupHits(backlog, kind, tuple(cached)))
            await self._finish_one(backlog)

    def _start_lookup(
        self, client: SourceClient, term: str | tuple[str, int], backlog: BacklogKey
    ) -> tuple[Hit, ...]:
        """Return the cached hits of a term, or start its lookup."""
        hits = client.cached_answer(term)
        if hits is not None:
            return hits
        if client.look_up(term, backlog):
            self._outstanding[backlog].lookups += 1
        return ()

    async def _notify_waiters(self) -> None:
        turn = TurnLimit(self._limits.steps_per_turn)
        while True:
            settled = await self._settled.get()
            if isinstance(settled, Exception):
                raise settled
            for backlog in settled.waiters:
                if settled.hits:
                    await self.results.put(LookupHits(backlog, settled.kind, settled.hits))
                await self._finish_one(backlog)
                await turn.step()

    async def _finish_one(self, backlog: BacklogKey) -> None:
        """Count one outstanding lookup of a backlog less."""
        outstanding = self._outstanding[backlog]
        outstanding.lookups -= 1
        if not outstanding.lookups:
            del self._outstanding[backlog]
            await self.results.put(LookupsDone(backlog, outstanding.requests))


def _unused_name(source: LookupSource, used: Container[str]) -> str:
    name = f"{source.kind}_{_NON_WORD.sub('_', source.name)}"
    numbered = (f"{name}_{number}" for number in count(2))
    return name if name not in used else next(name for name in numbered if name not in used)
