"""Queries of the console, answered over a real control pipe while other work goes on."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from multiprocess import connection

from shards.clock import WallClock
from shards.ipc.control import ControlChannel
from shards.ipc.explanations import ExplainEvent, ShardExplanation
from shards.ipc.framing import decode_from_child
from shards.ipc.queries import (
    AddressRow,
    AddressRows,
    AskWorker,
    BacklogCounts,
    BacklogRows,
    CountBacklogs,
    DescribeAddresses,
    DirectiveRow,
    DirectiveRows,
    EventRows,
    FindBacklogs,
    FoundDirective,
    GetDirective,
    ListDirectives,
    RecentEvents,
    WorkerAnswer,
    WorkerQuery,
)
from shards.worker import queries
from shards.worker.queries import QueryTasks
from shards.worker.shard import Shard
from tests.support.open_backlogs import (
    open_backlogs,
    open_many_backlogs,
    shard_of,
    take,
    two_stages,
)
from tests.support.replaying import Json, event

T = TypeVar("T")
MANY = 150_000


class Pipe:
    """A control pipe, with the supervisor's end of it."""

    def __init__(self) -> None:
        self.end, child_end = connection.Pipe()
        self.control = ControlChannel(child_end)

    def ask(
        self, tasks: QueryTasks, query: WorkerQuery, number: int = 7, seconds: float = 30
    ) -> None:
        tasks.take(AskWorker(number, query, time.monotonic() + seconds))

    async def answer(self, type_: type[T], number: int = 7) -> T:
        """The answer of pieces that arrive."""
        data = b""
        while True:
            while not self.end.poll():
                await asyncio.sleep(0.001)
            piece = decode_from_child(self.end.recv_bytes())
            assert isinstance(piece, WorkerAnswer)
            assert piece.number == number
            data += piece.piece
            if piece.last:
                return msgspec.msgpack.decode(data, type=type_)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.end.close()


def tasks_of(shard: Shard, pipe: Pipe) -> QueryTasks:
    return QueryTasks(shard, WallClock(), pipe.control)


def answers(pipe: Pipe, shard: Shard, query: WorkerQuery, type_: type[T]) -> T:
    async def ask() -> T:
        pipe.ask(tasks_of(shard, pipe), query)
        return await pipe.answer(type_)

    return asyncio.run(asyncio.wait_for(ask(), 60))


def small_shard() -> Shard:
    shard = shard_of(two_stages(1), two_stages(2, name="n" * 1000))
    open_backlogs(shard, range(3))
    return shard


def test_directives_are_listed_in_parts(pipe: Pipe) -> None:
    first = answers(pipe, small_shard(), ListDirectives(0, 1), DirectiveRows)
    assert first == DirectiveRows([DirectiveRow(1, "directive 1", "k", "c", 5, 2)], 2)
    second = answers(pipe, small_shard(), ListDirectives(1, 5), DirectiveRows)
    assert [(row.id, len(row.name)) for row in second.rows] == [(2, 300)]


def test_backlogs_are_counted_by_directive(pipe: Pipe) -> None:
    counts = answers(pipe, small_shard(), CountBacklogs(), BacklogCounts)
    assert counts.by_directive == {1: 3}


def test_a_directive_comes_whole_however_long_it_is(pipe: Pipe) -> None:
    long = two_stages(1)
    long["rules"][0]["plugin_sid"] = list(range(1, 50_000))
    found = answers(pipe, shard_of(long), GetDirective(1), FoundDirective)
    assert found.directive is not None
    assert len(found.directive.rules[0].plugin_sid) == 49_999
    assert answers(pipe, shard_of(long), GetDirective(5), FoundDirective).directive is None


def test_addresses_are_described(pipe: Pipe) -> None:
    query = DescribeAddresses(["10.0.0.1", "192.0.2.1", "nonsense"])
    found = answers(pipe, small_shard(), query, AddressRows)
    assert found.rows == [
        AddressRow("10.0.0.1", "web", ["10.0.0.0/8"], 5),
        AddressRow("192.0.2.1", "", [], 0),
    ]


def test_the_last_events_are_given_the_newest_first(pipe: Pipe) -> None:
    shard = small_shard()
    batch = [event("a", 0, 1), event("b", 0, 2), event("c", 0, 77), event("d", 0, 1)]
    take(shard, *batch, {"event_id": "invalid"})
    take(shard)

    def found(directive: int, limit: int = 10) -> list[Json]:
        rows = answers(pipe, shard, RecentEvents(directive, limit), EventRows)
        return [json.loads(raw) for raw in rows.events]

    assert [one["event_id"] for one in found(0)] == ["d", "c", "b", "a"]
    assert [one["event_id"] for one in found(1)] == ["d", "a"]
    assert [one["event_id"] for one in found(0, 1)] == ["d"]
    take(shard, event("long", 0, 1, title="x" * 50_000), event("short", 0, 1))
    assert [one["event_id"] for one in found(0)] == ["short"]


@pytest.mark.integration
def test_many_backlogs_are_looked_at_while_other_work_goes_on(pipe: Pipe) -> None:
    """Other work gets a turn after every few of the steps, of which each is short."""
    shard = shard_of(two_stages())
    open_many_backlogs(shard, MANY)
    other_turns = 0

    async def ask() -> BacklogRows:
        nonlocal other_turns
        pipe.ask(tasks_of(shard, pipe), FindBacklogs(words=["10.1."], sort="age", limit=200))
        answer = asyncio.create_task(pipe.answer(BacklogRows))
        while not answer.done():
            other_turns += 1
            await asyncio.sleep(0)
        return await answer

    found = asyncio.run(asyncio.wait_for(ask(), 60))
    assert (found.open, found.matching, len(found.rows)) == (MANY, 65_536, 200)
    assert other_turns > 20


def test_an_answer_that_nobody_waits_for_any_more_is_not_made(pipe: Pipe) -> None:
    async def ask() -> None:
        tasks = tasks_of(small_shard(), pipe)
        pipe.ask(tasks, CountBacklogs(), 1, seconds=-1)
        pipe.ask(tasks, CountBacklogs(), 2)
        await pipe.answer(BacklogCounts, 2)
        assert not pipe.end.poll()

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_what_is_computed_in_time_is_sent_in_the_rest_of_the_time(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of the time is for computing."""
    monkeypatch.setattr(queries, "SEND_SECONDS", 60)
    shard = small_shard()
    assert not answers(pipe, shard, FindBacklogs(), BacklogRows).complete
    query = ExplainEvent(json.dumps(event("x", 1, 1)).encode(), [1, 2])
    assert answers(pipe, shard, query, ShardExplanation).omitted == 2


def test_the_clock_is_the_wall_clock_and_that_of_a_stream_if_there_is_one(pipe: Pipe) -> None:
    def now_in(**settings: Any) -> int:
        shard = shard_of(two_stages(), **settings)
        shard.now = 10**10
        return answers(pipe, shard, FindBacklogs(), BacklogRows).now

    assert now_in() < 10**10
    assert now_in(stream="EVENTS", mode="cluster-backend") == 10**10


def test_queries_beyond_a_number_are_not_kept(pipe: Pipe) -> None:
    async def ask() -> None:
        tasks = tasks_of(small_shard(), pipe)
        for number in range(queries.MAX_WAITING + 5):
            pipe.ask(tasks, CountBacklogs(), number)
        for number in range(queries.MAX_WAITING):
            await pipe.answer(BacklogCounts, number)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not pipe.end.poll()
        pipe.ask(tasks, CountBacklogs(), 99)
        await pipe.answer(BacklogCounts, 99)

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_an_answer_waits_for_room_in_the_pipe_and_is_given_up_in_the_end(pipe: Pipe) -> None:
    async def ask() -> None:
        sent = 0
        while pipe.control.send_if_room(WorkerAnswer(1, b"x" * 40_000, last=False)):
            sent += 1
        tasks = tasks_of(small_shard(), pipe)
        pipe.ask(tasks, CountBacklogs(), 2, seconds=0.05)
        pipe.ask(tasks, CountBacklogs(), 3)
        await asyncio.sleep(0.1)
        for _ in range(sent):
            pipe.end.recv_bytes()
        await pipe.answer(BacklogCounts, 3)

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_an_answer_that_is_too_long_is_not_sent(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_ANSWER_BYTES", 100)

    async def ask() -> None:
        tasks = tasks_of(small_shard(), pipe)
        pipe.ask(tasks, ListDirectives(), 1)
        pipe.ask(tasks, CountBacklogs(), 2)
        await pipe.answer(BacklogCounts, 2)

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_asking_changes_nothing(pipe: Pipe) -> None:
    shard = small_shard()
    before = state_of(shard)
    everything: list[tuple[WorkerQuery, Any]] = [
        (FindBacklogs(words=["x"]), BacklogRows),
        (CountBacklogs(), BacklogCounts),
        (GetDirective(1), FoundDirective),
        (RecentEvents(0, 5), EventRows),
        (ExplainEvent(json.dumps(event("x", 1, 1)).encode(), []), ShardExplanation),
    ]
    for query, type_ in everything:
        answers(pipe, shard, query, type_)
    assert state_of(shard) == before


def state_of(shard: Shard) -> bytes:
    return msgspec.msgpack.encode([shard.correlator.snapshots(), shard.ledger])
