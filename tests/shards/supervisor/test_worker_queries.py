"""Queries to workers: pieces of answers, workers that do not answer, and bounds."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from shards.ipc.messages import Progress
from shards.ipc.queries import AskWorker, BacklogCounts, CountBacklogs, WorkerAnswer
from shards.ops.worker_answers import TooManyQueriesError
from shards.supervisor import worker_queries
from shards.supervisor.worker_queries import MAX_UNDER_WAY, MAX_WAITING, WorkerQueries

ANSWER = msgspec.msgpack.encode(BacklogCounts({1: 5}))


class FakeChild:
    """Keeps what it is sent; without room it takes nothing."""

    def __init__(self) -> None:
        self.sent: list[AskWorker] = []
        self.has_room = True

    def send_if_room(self, message: AskWorker) -> bool:
        if self.has_room:
            self.sent.append(message)
        return self.has_room


class Workers:
    """Workers whose answers a test gives."""

    def __init__(self, number: int) -> None:
        self.children: dict[int, Any] = {worker: FakeChild() for worker in range(number)}
        self.queries = WorkerQueries(self.children, number)

    def answer(self, worker: int, *pieces: bytes) -> None:
        """Answer the last query of a worker by these pieces."""
        number = self.children[worker].sent[-1].number
        for place, piece in enumerate(pieces, 1):
            self.queries.take(worker, WorkerAnswer(number, piece, place == len(pieces)))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def test_an_answer_is_put_together_from_its_pieces() -> None:
    async def test() -> None:
        workers = Workers(2)
        asking = asyncio.create_task(workers.queries.ask(CountBacklogs()))
        await asyncio.sleep(0)
        workers.answer(1, ANSWER[:2], ANSWER[2:])
        workers.queries.take(0, Progress())
        workers.answer(0, ANSWER)
        answers = await asking
        assert answers.missing == ()
        assert answers.decode(BacklogCounts) == {0: BacklogCounts({1: 5}), 1: BacklogCounts({1: 5})}

    run(test())


def test_only_the_workers_that_are_named_are_asked() -> None:
    async def test() -> None:
        workers = Workers(3)
        asking = asyncio.create_task(workers.queries.ask(CountBacklogs(), [2]))
        await asyncio.sleep(0)
        assert [len(child.sent) for child in workers.children.values()] == [0, 0, 1]
        workers.answer(2, ANSWER)
        assert list((await asking).by_worker) == [2]

    run(test())


def test_workers_that_die_have_no_room_or_are_not_there_are_missing() -> None:
    async def test() -> None:
        workers = Workers(4)
        workers.children[0].has_room = False
        del workers.children[1]
        asking = asyncio.create_task(workers.queries.ask(CountBacklogs()))
        await asyncio.sleep(0)
        workers.answer(3, ANSWER)
        workers.queries.worker_ended(2)
        answers = await asking
        assert (list(answers.by_worker), answers.missing) == ([3], (0, 1, 2))

    run(test())


def test_what_comes_too_late_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_queries, "ANSWER_SECONDS", 0.05)

    async def test() -> None:
        workers = Workers(2)
        asking = asyncio.create_task(workers.queries.ask(CountBacklogs()))
        await asyncio.sleep(0)
        workers.answer(0, ANSWER)
        answers = await asking
        workers.answer(1, ANSWER)
        assert answers.missing == (1,)

    run(test())


def test_queries_at_one_time_are_bounded_and_those_beyond_are_refused() -> None:
    async def test() -> None:
        workers = Workers(1)
        asking = [
            asyncio.create_task(workers.queries.ask(CountBacklogs())) for _ in range(MAX_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(TooManyQueriesError):
            await workers.queries.ask(CountBacklogs())
        assert len(workers.children[0].sent) == MAX_UNDER_WAY
        for done in range(MAX_WAITING):
            while len(workers.children[0].sent) <= done:
                await asyncio.sleep(0)
            number = workers.children[0].sent[done].number
            workers.queries.take(0, WorkerAnswer(number, ANSWER, last=True))
        await asyncio.gather(*asking)

    run(test())
