"""What a shard answers to POST /explain: bounded, in short turns, and without any change."""

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from multiprocess import connection

from engine.directives.asset_document import parse_assets
from engine.directives.directive import parse_directives
from engine.options import Options
from shards.checkpoint.stats import CheckpointStats
from shards.clock import WallClock
from shards.ipc.control import ControlChannel
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ExplainPart
from shards.ipc.framing import decode_from_child
from shards.ipc.pipes import ROOM_BYTES
from shards.settings.settings import Settings
from shards.worker import explanations
from shards.worker.explanations import ExplainTasks, explain_event
from shards.worker.shard import Shard
from tests.support.generations import directive_set
from tests.support.replaying import AT_START, Json, directive, event, rule

ASSETS = {
    "assets": [
        {"name": "lan", "cidr": "10.0.0.0/8", "value": 5},
        {"name": "scanner", "cidr": "10.0.0.99", "value": 1, "whitelisted": True},
    ]
}


def shard_of(*directives: Json, **settings: Any) -> Shard:
    document = msgspec.json.encode({"directives": directives})
    valid = [item.directive for item in parse_directives(document) if item.directive]
    assets, _ = parse_assets(msgspec.json.encode(ASSETS))
    return Shard(Settings(**settings), Options(), directive_set(valid, assets))


def two_stages(id_: int = 1, **more: Any) -> Json:
    return directive(id_, rule(1, 1), rule(2, 2, occurrence=3, **{"from": ":1"} | more))


def opened(number: int, *directives: Json) -> Shard:
    """A shard with so many open backlogs, each of another source."""
    shard = shard_of(*(directives or (two_stages(),)))
    events = (event(f"e{i}", 0, 1, src_ip=address(i)) for i in range(number))
    shard.process_batch(number, [json.dumps(one).encode() for one in events], AT_START)
    return shard


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def request_of(of: Json, *directives: int, seconds: float = 10) -> ExplainEvent:
    return ExplainEvent(7, json.dumps(of).encode(), list(directives), time.monotonic() + seconds)


def explained(shard: Shard, of: Json, *directives: int) -> list[DirectiveExplanation]:
    """The explanations of an event; checks that the answer is whole."""
    *parts, end = explain_event(shard, request_of(of, *directives), AT_START + 1)
    assert end == ExplainPart(7)
    return [part.explanation for part in parts if part.explanation is not None]


def state_of(shard: Shard) -> bytes:
    return msgspec.msgpack.encode(
        [shard.correlator.snapshots(), shard.make_report(CheckpointStats()).ledger]
    )


def test_verdicts_come_without_any_change() -> None:
    shard = opened(2)
    shard.make_report(CheckpointStats())
    before = state_of(shard)
    [found] = explained(shard, event("x", 1, 2, src_ip=address(1)))
    assert (found.directive, found.name, found.open_backlogs) == (1, "directive 1", 2)
    assert [verdict.verdict for verdict in found.verdicts] == ["taken", "no_match"]
    assert state_of(shard) == before


def test_an_event_too_far_in_the_future_is_explained_as_it_would_be_taken() -> None:
    shard = opened(1)
    far = event("x", 10**6, 2, src_ip=address(0))
    [found] = explained(shard, far)
    assert found.verdicts[0].verdict == "taken"
    assert shard.ledger.from_future == 0


def test_directives_that_are_selected_are_explained_and_others_of_other_shards_are_not() -> None:
    shard = shard_of(two_stages(1), two_stages(2))
    of = event("x", 1, 99)
    assert explained(shard, of) == []
    assert [found.directive for found in explained(shard, of, 2, 3)] == [2]


def test_of_an_event_from_a_whitelisted_asset_nothing_is_explained() -> None:
    request = request_of(event("x", 1, 1, src_ip="10.0.0.99"))
    assert list(explain_event(opened(1), request, AT_START)) == [ExplainPart(7, whitelisted=True)]


def test_an_invalid_event_has_no_answer() -> None:
    assert list(explain_event(opened(1), request_of({}), AT_START)) == []


def test_verdicts_of_a_directive_are_bounded_and_the_consuming_ones_come_first() -> None:
    [found] = explained(opened(250), event("x", 1, 2, src_ip=address(249)))
    assert len(found.verdicts) == explanations.MAX_VERDICTS
    assert found.verdicts[0].verdict == "taken"
    assert (found.verdicts_omitted, found.backlogs_unasked, found.open_backlogs) == (150, 0, 250)


def test_long_texts_do_not_make_a_part_that_a_pipe_cannot_take() -> None:
    texts = ["\U0001f600" * 10_000 + str(number) for number in range(60)]
    shard = shard_of(
        directive(
            1, rule(1, 1), rule(2, 2, custom_data1=":1", custom_data2="x"), name="\U0001f600" * 5000
        )
    )
    events = [event(f"e{i}", 0, 1, custom_data1=text) for i, text in enumerate(texts)]
    shard.process_batch(60, [json.dumps(one).encode() for one in events], AT_START)
    request = request_of(event("x", 1, 2, custom_data1="\U0001f601" * 9_000, custom_data2="x"))
    part, _ = explain_event(shard, request, AT_START)
    assert part.explanation is not None
    kept = len(part.explanation.verdicts)
    assert 10 < kept < 61
    assert part.explanation.verdicts_omitted == 61 - kept
    assert len(msgspec.msgpack.encode(part)) <= ROOM_BYTES


def test_directives_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanations, "MAX_DIRECTIVES", 3)
    shard = shard_of(*(two_stages(id_) for id_ in range(1, 6)))
    *parts, end = explain_event(shard, request_of(event("x", 1, 1)), AT_START)
    assert (len(parts), end) == (3, ExplainPart(7, omitted=2))


@pytest.mark.parametrize("own_source", [True, False], ids=["consumed by all", "consumed by none"])
def test_the_cost_does_not_grow_with_the_open_backlogs(*, own_source: bool) -> None:
    """Held by the number of backlogs that are looked at; times are in docs/explain.md."""
    more = {} if own_source else {"to": "203.0.113.1"}
    shard = opened(20_000, directive(1, rule(1, 1), rule(2, 2, occurrence=2, **more)))
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        [found] = explained(shard, event("x", 1, 2))
    finally:
        sys.setprofile(None)
    assert calls < 60_000, "20,000 backlogs with two calls each are more"
    assert found.backlogs_unasked == 19_000
    assert len(found.verdicts) == explanations.MAX_VERDICTS


# Requests in the background, over a real control pipe.


class Pipe:
    """A control pipe, with the supervisor's end of it."""

    def __init__(self) -> None:
        self.end, child_end = connection.Pipe()
        self.control = ControlChannel(child_end)

    def tasks_of(self, shard: Shard) -> ExplainTasks:
        return ExplainTasks(shard, WallClock(), self.control)

    async def parts(self) -> Iterable[ExplainPart]:
        """The parts that have arrived; the last one ends an answer."""
        found: list[ExplainPart] = []
        while not found or found[-1].explanation is not None:
            while not self.end.poll():
                await asyncio.sleep(0)
            message = decode_from_child(self.end.recv_bytes())
            assert isinstance(message, ExplainPart)
            found.append(message)
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    found = Pipe()
    yield found
    found.end.close()


def test_an_answer_waits_for_room_in_the_pipe(pipe: Pipe) -> None:
    async def ask() -> None:
        filler = ExplainPart(1, DirectiveExplanation(1, "x" * 40_000, 0, 0, []))
        sent = 0
        while pipe.control.send_if_room(filler):
            sent += 1
        tasks = pipe.tasks_of(opened(1))
        tasks.take(request_of(event("x", 1, 2)))
        for _ in range(20):
            await asyncio.sleep(0)
        for _ in range(sent):
            message = decode_from_child(pipe.end.recv_bytes())
            assert message == filler, "nothing of the answer comes between"
        parts = list(await pipe.parts())
        assert [part.number for part in parts] == [7, 7]

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_a_part_that_finds_no_room_in_time_ends_the_answer(pipe: Pipe) -> None:
    async def ask() -> None:
        filler = ExplainPart(1, DirectiveExplanation(1, "x" * 40_000, 0, 0, []))
        sent = 0
        while pipe.control.send_if_room(filler):
            sent += 1
        tasks = pipe.tasks_of(opened(1))
        tasks.take(request_of(event("x", 1, 2), seconds=0.05))
        tasks.take(request_of(event("y", 1, 2)))
        await asyncio.sleep(0.1)
        for _ in range(sent):
            pipe.end.recv_bytes()
        assert len(list(await pipe.parts())) == 2
        assert not pipe.end.poll(), "the first answer was given up"

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_an_answer_that_nobody_waits_for_any_more_is_not_made(pipe: Pipe) -> None:
    async def ask() -> None:
        tasks = pipe.tasks_of(opened(1))
        tasks.take(request_of(event("x", 1, 2), seconds=-1))
        tasks.take(request_of(event("y", 1, 2)))
        parts = list(await pipe.parts())
        assert len(parts) == 2
        assert not pipe.end.poll()

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_requests_beyond_a_number_are_not_kept(pipe: Pipe) -> None:
    async def ask() -> None:
        tasks = pipe.tasks_of(opened(1))
        for _ in range(explanations.MAX_WAITING + 5):
            tasks.take(request_of(event("x", 1, 2)))
        for _ in range(explanations.MAX_WAITING):
            await pipe.parts()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not pipe.end.poll()
        tasks.take(request_of(event("x", 1, 2)))
        assert len(list(await pipe.parts())) == 2, "there is room again"

    asyncio.run(asyncio.wait_for(ask(), 20))


def test_the_clock_is_the_wall_clock_and_that_of_a_stream_if_there_is_one(pipe: Pipe) -> None:
    """A stage of 60 s that began now has timed out by the clock of a stream a day ahead."""

    async def verdict_at(seconds: int, **settings: Any) -> str:
        now = int(time.time())
        shard = shard_of(two_stages(), **settings)
        raw = json.dumps(at(event("e", 0, 1), now)).encode()
        shard.process_batch(1, [raw], now)
        shard.now = now + seconds
        pipe.tasks_of(shard).take(request_of(at(event("x", 0, 2), now)))
        part, *_ = await pipe.parts()
        assert part.explanation is not None
        return part.explanation.verdicts[0].verdict

    async def ask() -> None:
        assert await verdict_at(86_400) == "taken"
        stream = {"stream": "EVENTS", "mode": "cluster-backend"}
        assert await verdict_at(86_400, **stream) == "expired_before"
        assert await verdict_at(0, **stream) == "taken"

    asyncio.run(asyncio.wait_for(ask(), 20))


def at(of: Json, seconds: int) -> Json:
    return of | {"timestamp": datetime.fromtimestamp(seconds, UTC).isoformat()}
