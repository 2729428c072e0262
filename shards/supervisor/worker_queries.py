"""Asks workers about their shards, and puts the pieces of their answers together."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count

from shards.ipc.child import ChildProcess
from shards.ipc.messages import FromChild
from shards.ipc.queries import AskWorker, WorkerAnswer, WorkerQuery
from shards.ops.worker_answers import TooManyQueriesError, WorkerAnswers

ANSWER_SECONDS = 3.0
"""Time for the workers to answer."""
MAX_UNDER_WAY = 6
"""Queries at one time; further ones wait, up to MAX_WAITING."""
MAX_WAITING = 24


class WorkerQueries:
    """The queries under way; each ends after ANSWER_SECONDS at the latest."""

    def __init__(self, workers: Mapping[int, ChildProcess], worker_count: int) -> None:
        """`workers`: those that run, by number; kept up to date by the owner."""
        self._workers = workers
        self._worker_count = worker_count
        self._numbers = count(1)
        self._under_way: dict[int, _Answer] = {}
        self._turn = asyncio.Semaphore(MAX_UNDER_WAY)
        self._waiting = 0

    async def ask(self, query: WorkerQuery, workers: Iterable[int] = ()) -> WorkerAnswers:
        """What these workers answer, or all; TooManyQueriesError."""
        if self._waiting >= MAX_WAITING:
            raise TooManyQueriesError
        self._waiting += 1
        try:
            async with self._turn:
                asked = set(workers) or set(range(self._worker_count))
                return await self._ask(query, asked)
        finally:
            self._waiting -= 1

    async def _ask(self, query: WorkerQuery, workers: set[int]) -> WorkerAnswers:
        answer = _Answer(workers)
        number, until = next(self._numbers), time.monotonic() + ANSWER_SECONDS
        self._under_way[number] = answer
        request = AskWorker(number, query, until)
        try:
            for worker in workers:
                child = self._workers.get(worker)
                if child is None or not child.send_if_room(request):
                    answer.fail(worker)
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await answer.complete.wait()
        finally:
            del self._under_way[number]
        missing = tuple(sorted(workers - answer.found.keys()))
        return WorkerAnswers(answer.found, missing)

    def take(self, worker: int, message: FromChild) -> None:
        """A worker has sent a message: it may be a piece of its answer."""
        if isinstance(message, WorkerAnswer) and message.number in self._under_way:
            self._under_way[message.number].take(worker, message)

    def worker_ended(self, worker: int) -> None:
        """A worker has ended, and answers no more."""
        for answer in self._under_way.values():
            answer.fail(worker)


class _Answer:
    """The pieces that have arrived; `complete` once all workers have answered, or failed."""

    def __init__(self, workers: set[int]) -> None:
        self._waiting = set(workers)
        self._pieces: dict[int, list[bytes]] = {worker: [] for worker in workers}
        self.found: dict[int, bytes] = {}
        self.complete = asyncio.Event()

    def take(self, worker: int, answer: WorkerAnswer) -> None:
        """Add a piece of a worker's answer."""
        if worker not in self._waiting:
            return
        self._pieces[worker].append(answer.piece)
        if answer.last:
            self.found[worker] = b"".join(self._pieces.pop(worker))
            self.fail(worker)

    def fail(self, worker: int) -> None:
        """A worker will send no more."""
        self._waiting.discard(worker)
        if not self._waiting:
            self.complete.set()
