"""Lookups in one source: cache, circuit breaker, queue, thread pool and counts."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Collection

from loguru import logger
from msgspec import Struct

from engine.alarm import BacklogKey, Hit, LookupKind
from shards.ledger import LookupCounts
from shards.logs import RateLimit
from shards.lookups.cache import LookupCache
from shards.lookups.circuit_breaker import CircuitBreaker
from shards.lookups.limits import LookupLimits
from shards.lookups.plugin_runner import (
    LookupAnswer,
    LookupFailure,
    LookupOutcome,
    PluginRunner,
)
from shards.lookups.source_config import LookupSource
from shards.lookups.terms import Term
from shards.lookups.thread_pool import LookupJob, LookupThreadPool


class SettledTerm(Struct, frozen=True):
    """A term whose lookup is over, and the backlogs that waited for it.

    `hits` is empty if nothing was found, or the lookup failed or was rejected.
    """

    kind: LookupKind
    hits: tuple[Hit, ...]
    waiters: Collection[BacklogKey]


class SourceClient:
    """Looks up terms in one source; a term that several backlogs wait for is looked up once.

    Every term for which `look_up` returned True is put on the queue `settled`. Used by the event
    loop alone; `create_runner` is called in each thread. `clock`: seconds, for the cache and the
    circuit breaker.
    """

    def __init__(
        self,
        source: LookupSource,
        limits: LookupLimits,
        cache_seconds: float,
        create_runner: Callable[[], PluginRunner],
        settled: asyncio.Queue[SettledTerm],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self._limits = limits
        self._clock = clock
        self._settled = settled
        self._cache = LookupCache(cache_seconds, limits.cached_answers)
        self._breaker = CircuitBreaker(limits.breaker_failures, limits.breaker_open_seconds)
        self._counts = LookupCounts()
        self._jobs: dict[Term, LookupJob] = {}
        """All jobs that are not settled, in a thread or in the queue."""
        self._queue: deque[LookupJob] = deque()
        """Jobs that wait for a thread."""
        self._waiters = 0
        """Sum of the waiters of all jobs."""
        self._closed = False
        self._log_limit = RateLimit(most=3, seconds=60)
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception of `_on_answer`, which the event loop would only log."""
        job_seconds = limits.request_seconds + limits.grace_seconds
        self._pool = LookupThreadPool(
            source.name, limits.threads, create_runner, job_seconds, self._on_answer
        )

    def cached_answer(self, term: Term) -> tuple[Hit, ...] | None:
        """Return the cached hits of a term, which may be none; None if it has to be looked up."""
        hits = self._cache.get(term, self._clock())
        if hits is not None:
            self._counts.asked += 1
            self._counts.cached += 1
        return hits

    def look_up(self, term: Term, waiter: BacklogKey) -> bool:
        """Start the lookup of a term, or join the one in progress.

        Return False if the backlog does not become a new waiter: the lookup is rejected, or the
        backlog waits for it already.
        """
        self._counts.asked += 1
        if self._waiters >= self._limits.waiters:
            self._counts.rejected_full += 1
        elif (job := self._jobs.get(term)) is not None:
            self._counts.shared += 1
            if waiter not in job.waiters:
                job.waiters[waiter] = None
                self._waiters += 1
                return True
        elif len(self._queue) >= self._limits.queued_terms:
            self._counts.rejected_full += 1
        elif (generation := self._admit()) is None:
            self._counts.rejected_breaker += 1
        else:
            self._jobs[term] = job = LookupJob(term, generation, waiter)
            self._waiters += 1
            self._queue.append(job)
            self._submit_queued()
            return True
        return False

    def _admit(self) -> int | None:
        """The breaker's generation; None if it does not admit a lookup."""
        at_once = not self._queue and self._pool.has_free_thread()
        return self._breaker.admit(self._clock(), at_once=at_once)

    def reject(self, terms: int) -> None:
        """Count terms that are asked for and not looked up, since too many requests wait."""
        self._counts.asked += terms
        self._counts.rejected_full += terms

    async def run(self) -> None:
        """Wait until cancelled; raise the exception if settling an answer fails."""
        await self._failure

    @property
    def counts(self) -> LookupCounts:
        """The counts of all terms, and the state of the circuit breaker."""
        counts, breaker = self._counts, self._breaker
        if not self._closed:
            counts.waiting = len(self._jobs)
            counts.opened = breaker.opened
            counts.breakers = Counter([breaker.state])
        return counts

    def close(self) -> None:
        """Start and settle nothing more; jobs in progress are counted as errors, "stopped"."""
        counts = self.counts
        self._closed = True
        counts.end("stopped")
        self._jobs.clear()
        self._queue.clear()
        self._pool.close()

    def join(self, until: float) -> None:
        """Wait for the threads to end, until a time of time.monotonic()."""
        self._pool.join(until)

    def _on_answer(self, job: LookupJob, outcome: LookupOutcome) -> None:
        """Settle an answer of the thread pool, and submit the next job."""
        try:
            if self._jobs.get(job.term) is job:  # else it was given up before, or this is closed
                self._settle(job, outcome)
            self._submit_queued()
        except Exception as error:
            if not self._failure.done():
                self._failure.set_exception(error)

    def _submit_queued(self) -> None:
        """Submit as many queued jobs as there are free threads."""
        while self._queue and self._pool.has_free_thread():
            self._pool.submit(self._queue.popleft())

    def _settle(self, job: LookupJob, outcome: LookupOutcome) -> None:
        now = self._clock()
        hits: tuple[Hit, ...] = ()
        if isinstance(outcome, LookupAnswer):
            hits = outcome.hits
            self._cache.put(job.term, hits, now)
            if hits:
                self._counts.found += 1
            else:
                self._counts.nothing += 1
        else:
            self._counts.errors[outcome.code] += 1
            self._log_failure(outcome)
        self._remove(job, hits)
        success = isinstance(outcome, LookupAnswer)
        if self._breaker.record(job.breaker_generation, now, success=success):
            self._log_breaker_state()
        if self._breaker.state == "open":
            self._reject_queued()

    def _reject_queued(self) -> None:
        """Reject the jobs that wait for a thread, after the breaker has opened."""
        self._counts.rejected_breaker += len(self._queue)
        for job in self._queue:
            self._remove(job, hits=())
        self._queue.clear()

    def _remove(self, job: LookupJob, hits: tuple[Hit, ...]) -> None:
        """Remove a job, and put its term on the queue of settled ones."""
        del self._jobs[job.term]
        self._waiters -= len(job.waiters)
        self._settled.put_nowait(SettledTerm(self.source.kind, hits, job.waiters))

    def _log_failure(self, failure: LookupFailure) -> None:
        if self._log_limit.allow(failure.code, time.monotonic()):
            bound = logger.bind(source=self.source.name, reason=failure.code, why=failure.why)
            if suppressed := self._log_limit.suppressed.pop(failure.code, 0):
                bound = bound.bind(more_before=suppressed)
            bound.warning("a lookup failed")

    def _log_breaker_state(self) -> None:
        bound = logger.bind(source=self.source.name)
        if self._breaker.state == "open":
            seconds = self._limits.breaker_open_seconds
            bound.bind(seconds=seconds).warning("lookups are suspended: the source keeps failing")
        else:
            bound.info("lookups resume: the source answers again")
