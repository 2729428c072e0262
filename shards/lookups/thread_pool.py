"""The threads of one source. They are daemons: what hangs in one holds up nothing.

What may live here: threads, and what goes to them and comes back. What may not: who is asked
what (inquiry.py), and how (asker.py).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from queue import SimpleQueue

from shards.lookups.plugin_runner import LookupOutcome, PluginRunner
from shards.lookups.terms import Term


class LookupJob:
    """A term on its way. `ticket`: of the breaker. `askers`: who wants to know, in order."""

    __slots__ = ("askers", "term", "ticket", "timer")

    def __init__(self, term: Term, ticket: int, asker: object) -> None:
        self.term = term
        self.ticket = ticket
        self.askers = {asker: None}
        self.timer: asyncio.TimerHandle | None = None


JobDone = Callable[[LookupJob, LookupOutcome], None]


class LookupThreadPool:
    """Up to `most` threads, all started at once; `done` is called in the loop.

    To start one later would hold the loop up for as long as the thread keeps the interpreter.
    """

    def __init__(
        self,
        name: str,
        most: int,
        make: Callable[[], PluginRunner],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._name = name
        self._make = make
        self._loop = loop
        self._jobs: SimpleQueue[tuple[LookupJob, JobDone] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        """Jobs that have been started and have not come back, those given up included."""
        while len(self._threads) < most and self._grow():
            pass

    @property
    def is_free(self) -> bool:
        """Whether a job would be begun at once."""
        return self._busy < max(1, len(self._threads))

    def start(self, job: LookupJob, done: JobDone) -> bool:
        """Begin a job; false when there is no thread to be had."""
        if not self._threads and not self._grow():
            return False
        self._busy += 1
        self._jobs.put((job, done))
        return True

    def close(self) -> None:
        """Let the threads end, each when it comes back from what it does."""
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, until: float) -> None:
        """Wait for the threads, until a time of time.monotonic()."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _grow(self) -> bool:
        thread = threading.Thread(target=self._serve, name=f"lookup {self._name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            return False
        self._threads.append(thread)
        return True

    def _serve(self) -> None:
        with closing(self._make()) as asker:
            asker.prepare()
            while (order := self._jobs.get()) is not None:
                job, done = order
                outcome = asker.ask(job.term)
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._back, job, done, outcome)

    def _back(self, job: LookupJob, done: JobDone, outcome: LookupOutcome) -> None:
        self._busy -= 1
        done(job, outcome)
