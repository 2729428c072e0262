"""What one source is asked, and what became of it: cache, breaker, queue and counts.

What may live here: that, in the thread of the loop alone. What may not: threads (crew.py), HTTP,
and what of an alarm is looked up (terms.py).
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable

from loguru import logger

from engine.alarm import Hit
from shards.ledger import LookupCounts
from shards.logs import RateLimit
from shards.lookups.cache import LookupCache
from shards.lookups.circuit_breaker import CircuitBreaker
from shards.lookups.limits import LookupLimits
from shards.lookups.plugin_runner import LookupAnswer, LookupFailure, LookupOutcome
from shards.lookups.source_config import LookupSource
from shards.lookups.terms import Term
from shards.lookups.thread_pool import LookupJob, LookupThreadPool

Tell = Callable[[Iterable[Hashable], tuple[Hit, ...]], None]
"""Takes who asked, and what was found."""


class SourceClient:
    """Asks one source for terms, each once at a time however many want it."""

    def __init__(
        self,
        source: LookupSource,
        limits: LookupLimits,
        keep_seconds: float,
        crew: LookupThreadPool,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self._limits = limits
        self._clock = clock
        self._crew = crew
        self._tell = tell
        self._cache = LookupCache(keep_seconds, limits.cached)
        self._breaker = CircuitBreaker(limits.failures, limits.rest)
        self._counts = LookupCounts()
        self._waiting: dict[Term, LookupJob] = {}
        """All that is not answered, whether a thread has it or not."""
        self._queue: deque[LookupJob] = deque()
        """Of these, what no thread has."""
        self._askers = 0
        self._closed = False
        self._said = RateLimit(most=3, seconds=60)
        self._loop = asyncio.get_running_loop()

    def ask(self, term: Term, asker: Hashable) -> tuple[Hit, ...]:
        """Return what is known of a term, or see to it that the asker is told."""
        self._counts.asked += 1
        now = self._clock()
        known = self._cache.get(term, now)
        if known is not None:
            self._counts.cached += 1
            return known
        if self._askers >= self._limits.askers:
            self._counts.rejected_full += 1
        elif (job := self._waiting.get(term)) is not None:
            self._counts.shared += 1
            self._askers += asker not in job.askers
            job.askers[asker] = None
        else:
            self._begin(term, asker, now)
        return ()

    @property
    def counts(self) -> LookupCounts:
        """What became of all that was asked for, and the state of the breaker."""
        counts, breaker = self._counts, self._breaker
        if not self._closed:
            counts.waiting = len(self._waiting)
            counts.opened = breaker.opened
            counts.breakers = Counter([breaker.state])
        return counts

    def close(self) -> None:
        """Begin nothing more, and tell nobody any more."""
        counts = self.counts
        self._closed = True
        counts.end("stopped")
        for job in self._waiting.values():
            _stop_timer(job)
        self._crew.close()

    def _begin(self, term: Term, asker: Hashable, now: float) -> None:
        if len(self._queue) >= self._limits.queue:
            self._counts.rejected_full += 1
        elif (ticket := self._breaker.admit(now)) is None:
            self._counts.rejected_breaker += 1
        else:
            self._waiting[term] = job = LookupJob(term, ticket, asker)
            self._askers += 1
            self._queue.append(job)
            self._dispatch()

    def _dispatch(self) -> None:
        """Hand what waits to threads, as far as they are free."""
        while self._queue and self._crew.is_free:
            job = self._queue.popleft()
            if self._crew.start(job, self._done):
                patience = self._limits.seconds + self._limits.grace
                job.timer = self._loop.call_later(patience, self._give_up, job)
            else:
                self._settle(job, LookupFailure("no_thread", "the system has no more threads"))

    def _done(self, job: LookupJob, outcome: LookupOutcome) -> None:
        """Take what a thread brings back; of a job that was given up only that it is free."""
        if self._closed:
            return
        if self._waiting.get(job.term) is job:
            self._settle(job, outcome)
        self._dispatch()

    def _give_up(self, job: LookupJob) -> None:
        self._settle(job, LookupFailure("hung", "the plugin does not come back"))

    def _settle(self, job: LookupJob, outcome: LookupOutcome) -> None:
        _stop_timer(job)
        self._forget(job)
        if isinstance(outcome, LookupAnswer):
            self._answered(job, outcome.hits)
        else:
            self._counts.errors[outcome.code] += 1
            self._say(outcome)
        well = isinstance(outcome, LookupAnswer)
        if self._breaker.report(job.ticket, self._clock(), well=well):
            self._say_state()
        if self._breaker.state == "open":
            self._refuse_queue()

    def _answered(self, job: LookupJob, hits: tuple[Hit, ...]) -> None:
        self._cache.put(job.term, hits, self._clock())
        if hits:
            self._counts.found += 1
            self._tell(job.askers, hits)
        else:
            self._counts.nothing += 1

    def _refuse_queue(self) -> None:
        """What still waits would wait in vain."""
        self._counts.rejected_breaker += len(self._queue)
        for job in self._queue:
            self._forget(job)
        self._queue.clear()

    def _forget(self, job: LookupJob) -> None:
        del self._waiting[job.term]
        self._askers -= len(job.askers)

    def _say(self, failure: LookupFailure) -> None:
        if self._said.allow(failure.code, time.monotonic()):
            about = logger.bind(source=self.source.name, reason=failure.code, why=failure.why)
            if more := self._said.suppressed.pop(failure.code, 0):
                about = about.bind(more_before=more)
            about.warning("a lookup failed")

    def _say_state(self) -> None:
        about = logger.bind(source=self.source.name)
        if self._breaker.state == "open":
            about.bind(seconds=self._limits.rest).warning("lookups are put off: it keeps failing")
        else:
            about.info("lookups go on: it answers again")


def _stop_timer(job: LookupJob) -> None:
    if job.timer is not None:
        job.timer.cancel()
        job.timer = None
