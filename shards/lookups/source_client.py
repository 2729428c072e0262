"""Lookups in one source: cache, circuit breaker, queue, thread pool and counts."""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from functools import partial

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

CreateRunner = Callable[[threading.Event], PluginRunner]
"""Creates the runner of a thread; the event cuts its HTTP exchange."""
OnAnswered = Callable[[LookupSource, LookupJob, LookupOutcome, float], None]
"""Called with an answer of a source, and the seconds since the lookup was asked for."""


class SettledTerm(Struct, frozen=True):
    """A term whose lookup is over, and the backlogs that waited for it.

    `hits` is empty if nothing was found, or the lookup failed or was rejected.
    """

    kind: LookupKind
    hits: tuple[Hit, ...]
    waiters: Collection[BacklogKey]


class SourceClient:
    """Looks up terms in one source; a term that several backlogs wait for is looked up once.

    Every term for which `look_up` returned True is put on the queue `settled`, and so is the
    exception if settling fails. Used by the event loop alone; `create_runner` is called in each
    thread. `counts`: added to; a retired client of the same source may do so, too. `clock`:
    seconds, for the cache and the circuit breaker.
    """

    def __init__(
        self,
        source: LookupSource,
        limits: LookupLimits,
        cache_seconds: float,
        create_runner: CreateRunner,
        settled: asyncio.Queue[SettledTerm | Exception],
        counts: LookupCounts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self._limits = limits
        self._clock = clock
        self._settled = settled
        self._cache = LookupCache(cache_seconds, limits.cached_answers)
        self._breaker = CircuitBreaker(limits.breaker_failures, limits.breaker_open_seconds)
        self._counts = counts
        self._jobs: dict[Term, LookupJob] = {}
        """All jobs that are not settled, in a thread or in the queue."""
        self._queue: deque[LookupJob] = deque()
        """Jobs that wait for a thread."""
        self._waiters = 0
        """Sum of the waiters of all jobs."""
        self.on_answered: OnAnswered | None = None
        self._is_retired = False
        self._stop = threading.Event()
        self._log_limit = RateLimit(most=3, seconds=60)
        self._pool = LookupThreadPool(
            source.name,
            limits.threads,
            limits.process_threads,
            partial(create_runner, self._stop),
            limits.request_seconds + limits.grace_seconds,
            self._on_answer,
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
        backlog waits for it already. A retired client is asked for nothing, and counts nothing.
        """
        if self._is_retired:
            return False
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
            self._jobs[term] = job = LookupJob(term, generation, waiter, self._clock())
            self._counts.waiting += 1
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

    @property
    def counts(self) -> LookupCounts:
        """The counts of all terms, and the state of the circuit breaker until it is retired."""
        if not self._is_retired:
            self._counts.breakers = Counter([self._breaker.state])
        return self._counts

    @property
    def is_busy(self) -> bool:
        """Whether any term is not settled."""
        return bool(self._jobs)

    def retire(self) -> None:
        """Start no more lookups; the threads end when those in progress are settled."""
        if self._is_retired:
            return
        self._is_retired = True
        self._counts.breakers.clear()
        self._cache = LookupCache(0, 0)
        if not self.is_busy:
            self._pool.close()

    def close(self, reason: str) -> None:
        """Retire, and abort the lookups in progress; they are counted as errors of this reason."""
        self.retire()
        self._stop.set()
        self._queue.clear()
        for job in list(self._jobs.values()):
            self._counts.errors[reason] += 1
            self._remove(job, hits=())

    def join(self, until: float) -> None:
        """Wait for the threads to end, until a time of time.monotonic()."""
        self._pool.join(until)

    def _on_answer(self, job: LookupJob, outcome: LookupOutcome) -> None:
        """Settle an answer of the thread pool, and submit the next job."""
        try:
            if self._jobs.get(job.term) is job:  # else it was given up or aborted before
                self._settle(job, outcome)
            self._submit_queued()
        except Exception as error:  # the event loop would only log it
            self._settled.put_nowait(error)

    def _submit_queued(self) -> None:
        """Submit as many queued jobs as there are free threads."""
        while self._queue and self._pool.has_free_thread():
            self._pool.submit(self._queue.popleft())

    def _settle(self, job: LookupJob, outcome: LookupOutcome) -> None:
        now = self._clock()
        if self.on_answered is not None:
            self.on_answered(self.source, job, outcome, now - job.asked_at)
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
            self._counts.opened += self._breaker.state == "open"
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
        self._counts.waiting -= 1
        self._waiters -= len(job.waiters)
        self._settled.put_nowait(SettledTerm(self.source.kind, hits, job.waiters))
        if self._is_retired and not self.is_busy:
            self._pool.close()

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
