"""The threads that call the plugin of one source."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from queue import SimpleQueue

from engine.alarm import BacklogKey
from shards.lookups.plugin_runner import LookupFailure, LookupOutcome, PluginRunner
from shards.lookups.terms import Term

HUNG = LookupFailure("hung", "the plugin does not come back")
NO_THREAD = LookupFailure("no_thread", "the system has no more threads")


class LookupJob:
    """The lookup of one term.

    `breaker_generation`: from `CircuitBreaker.admit`. `waiters`: the backlogs that wait for it, in
    order. `asked_at`: time of the clock of the source's client.
    """

    __slots__ = ("asked_at", "breaker_generation", "term", "waiters")

    def __init__(
        self, term: Term, breaker_generation: int, waiter: BacklogKey, asked_at: float = 0.0
    ) -> None:
        self.term = term
        self.breaker_generation = breaker_generation
        self.waiters: dict[BacklogKey, None] = {waiter: None}
        self.asked_at = asked_at


OnAnswer = Callable[[LookupJob, LookupOutcome], None]


class LookupThreadPool:
    """Runs jobs in up to `threads` daemon threads, and calls `on_answer` in the event loop.

    A job that has run for `job_seconds` is answered with HUNG, and answered again when its thread
    returns. `on_answer` is a call, not a queue: it submits the next job, and a queue would keep the
    thread idle for one more turn of a busy loop. All threads are started at once: a later start
    would hold up the loop for as long as the new thread keeps the interpreter lock. None is started
    while the process has `process_threads`, of whatever kind: those that hang cannot be ended.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        process_threads: int,
        create_runner: Callable[[], PluginRunner],
        job_seconds: float,
        on_answer: OnAnswer,
    ) -> None:
        self._name = name
        self._process_threads = process_threads
        self._create_runner = create_runner
        self._job_seconds = job_seconds
        self._on_answer = on_answer
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[LookupJob | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._timers: dict[LookupJob, asyncio.TimerHandle] = {}
        self._running = 0
        """Jobs whose thread has not returned, those answered with HUNG included."""
        while len(self._threads) < threads and self._start_thread():
            pass

    def has_free_thread(self) -> bool:
        """Return whether a job would start at once."""
        return self._running < max(1, len(self._threads))

    def submit(self, job: LookupJob) -> None:
        """Run a job; it is answered with NO_THREAD if no thread can be started."""
        self._running += 1
        if self._threads or self._start_thread():
            self._timers[job] = self._loop.call_later(self._job_seconds, self._give_up, job)
            self._jobs.put(job)
        else:
            self._loop.call_soon(self._finish, job, NO_THREAD)

    def close(self) -> None:
        """Tell the threads to end when they return from their jobs."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, until: float) -> None:
        """Wait for the threads to end, until a time of time.monotonic()."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _start_thread(self) -> bool:
        if threading.active_count() >= self._process_threads:
            return False
        thread = threading.Thread(target=self._run_jobs, name=f"lookup {self._name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the limit of threads is reached
            return False
        self._threads.append(thread)
        return True

    def _run_jobs(self) -> None:
        """Run in each thread."""
        with closing(self._create_runner()) as runner:
            runner.create_plugin()
            while (job := self._jobs.get()) is not None:
                outcome = runner.look_up(job.term)
                with suppress(RuntimeError):  # the event loop is closed
                    self._loop.call_soon_threadsafe(self._finish, job, outcome)

    def _finish(self, job: LookupJob, outcome: LookupOutcome) -> None:
        self._running -= 1
        if (timer := self._timers.pop(job, None)) is not None:
            timer.cancel()
        self._on_answer(job, outcome)

    def _give_up(self, job: LookupJob) -> None:
        del self._timers[job]
        self._on_answer(job, HUNG)
