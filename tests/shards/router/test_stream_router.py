"""The router of a stream: positions, what is counted again and what is not, waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from engine.directives.asset_document import parse_assets
from engine.directives.index import routing_keys_of
from shards.config.generation import RouterConfig
from shards.ipc.messages import RouterReport
from shards.ledger import Events
from shards.positions import base_of
from shards.router.router import Router
from shards.router.routing_table import RoutingTable
from shards.router.start import ShardStart
from shards.router.stream_queue import StreamQueue
from shards.router.stream_router import StreamRouter
from shards.settings.settings import Settings
from tests.support.routing import ASSETS, Source, directives, event

BASE = base_of(1)
NOW = 1_800_000_000
A, B = "EVENTS@1", "EVENTS@2"
DEADLINE = 5.0
EVERYWHERE = event(99)
"""Is for both workers."""


class Lane(StreamQueue):
    """A queue that records what is put on it."""

    def __init__(self, start: int) -> None:
        super().__init__(10, 1 << 20, start, lambda: None)
        self.put_at: list[tuple[int, int]] = []
        """Position and time of each event that was taken."""
        self.times: list[int] = []

    def set_time(self, now: int) -> None:
        super().set_time(now)
        self.times.append(now)

    def put(self, raw: bytes, position: int = 0) -> bool:
        taken = super().put(raw, position)
        if taken:
            self.put_at.append((position - BASE, self.times[-1]))
        return taken


class Routed:
    """A stream's router with two workers that begin at these positions."""

    def __init__(self, *shards: ShardStart, counted: int = 0) -> None:
        keys = msgspec.msgpack.encode([routing_keys_of(directive) for directive in directives()])
        config = RouterConfig(keys, tuple(parse_assets(ASSETS)[0]))
        table = RoutingTable(1, config, Settings(workers=2))
        shards = shards or (ShardStart(BASE, A), ShardStart(BASE, A))
        self.lanes = [Lane(shard.position) for shard in shards]
        self.router = Router(table, self.lanes)
        self.reports: list[int] = []
        """How far the stream was read at each report that it asked for."""
        self.stream = StreamRouter(
            self.router, self.lanes, shards, counted, lambda: self.reports.append(self.router.read)
        )

    def take(self, first: int, *events: bytes, now: int = NOW) -> None:
        last = first + len(events) - 1
        self.stream.take(events, BASE + first, BASE + last, now)

    @property
    def report(self) -> RouterReport:
        return self.router.make_report(Source())

    @property
    def events(self) -> Events:
        return self.report.ledger.events


def bounded(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, DEADLINE))


def test_each_event_has_its_position_and_time() -> None:
    routed = Routed()
    routed.take(1, EVERYWHERE, event(77), EVERYWHERE)
    routed.take(9, EVERYWHERE, now=NOW + 1)
    assert all(lane.put_at == [(1, NOW), (3, NOW), (9, NOW + 1)] for lane in routed.lanes)
    assert routed.report.read == BASE + 9
    assert routed.events == Events(received=4, routed=3, unmatched=1)
    assert routed.report.accepted == {0: 3, 1: 3}


def test_an_invalid_event_has_a_position_too() -> None:
    routed = Routed()
    routed.take(1, b"[", EVERYWHERE)
    assert routed.lanes[0].put_at == [(2, NOW)]
    assert routed.events.invalid == {"bad_json": 1}


def test_messages_without_events_are_read() -> None:
    routed = Routed()
    routed.stream.take((), BASE + 1, BASE + 50, NOW)
    assert routed.report.read == BASE + 50
    assert routed.events == Events()
    assert [lane.times for lane in routed.lanes] == [[NOW], [NOW]]


def test_a_worker_gets_what_follows_its_start() -> None:
    routed = Routed(ShardStart(BASE + 2, A), ShardStart(BASE + 4, A))
    assert (routed.stream.start, routed.stream.newest) == (BASE + 2, BASE + 4)
    routed.take(3, *[EVERYWHERE] * 4)
    assert [[at for at, _ in lane.put_at] for lane in routed.lanes] == [[3, 4, 5, 6], [5, 6]]
    assert routed.report.accepted == {0: 4, 1: 2}
    assert routed.report.ledger.deliveries.sent == 6
    assert routed.events.received == 4


@pytest.mark.parametrize("counted", [0, 2, 3, 4, 5, 6, 9])
def test_what_the_router_before_has_counted_is_delivered_and_not_counted(counted: int) -> None:
    starts = [ShardStart(BASE + 2, A)] * 2
    routed = Routed(*starts, counted=BASE + counted if counted else 0)
    events = [EVERYWHERE, event(77), b"[", EVERYWHERE]
    routed.take(3, *events[:2])
    routed.take(5, *events[2:])
    new = max(0, min(4, 6 - max(counted, 2)))
    assert routed.events.received == new
    assert routed.events.missing == 0
    assert routed.events.routed == sum(each is EVERYWHERE for each in events[4 - new :])
    assert routed.events.invalid.total() == (new >= 2)
    assert routed.report.accepted == {0: 2, 1: 2}
    routed.take(7, EVERYWHERE)
    assert routed.report.accepted == {0: 3, 1: 3}


@pytest.mark.parametrize(
    ("shards", "counted", "start", "newest", "stream"),
    [
        ([(0, ""), (0, "")], 0, 0, 0, ""),
        ([(0, ""), (0, "")], BASE + 5, 0, 0, ""),
        ([(BASE + 7, A), (0, "")], 0, BASE + 7, BASE + 7, A),
        ([(BASE + 7, A), (BASE + 9, A)], BASE + 8, BASE + 7, BASE + 9, A),
        ([(BASE + 7, A), (BASE + 9, A)], BASE + 3, BASE + 3, BASE + 9, A),
        ([(BASE + 7, A), (base_of(2) + 1, B)], BASE + 30, BASE + 7, base_of(2) + 1, B),
    ],
)
def test_where_reading_begins(
    shards: list[tuple[int, str]], counted: int, start: int, newest: int, stream: str
) -> None:
    routed = Routed(*(ShardStart(*shard) for shard in shards), counted=counted).stream
    assert (routed.start, routed.newest, routed.stream) == (start, newest, stream)


def test_it_begins_once_all_shards_have_saved_where() -> None:
    routed = Routed(ShardStart(), ShardStart(BASE + 9, A))

    async def story() -> None:
        begun = asyncio.create_task(routed.stream.begin(BASE + 5, NOW, A))
        await asyncio.sleep(0.05)
        assert not begun.done()
        assert [lane.start for lane in routed.lanes] == [BASE + 5, BASE + 9]
        routed.lanes[0].forget(BASE + 4)
        await asyncio.sleep(0.05)
        assert not begun.done()
        routed.lanes[0].forget(BASE + 5)
        await begun

    bounded(story())
    assert routed.reports == [BASE + 5], "another router would not count what follows"


def test_a_stream_that_goes_on_begins_at_once() -> None:
    bounded(Routed().stream.begin(BASE, 1, A))


def test_there_is_room_while_no_queue_is_full() -> None:
    routed = Routed()

    async def story() -> None:
        routed.take(1, *[EVERYWHERE] * 9)
        await routed.stream.wait_for_room()
        routed.take(10, event(1))
        assert sorted(lane.queued for lane in routed.lanes) == [9, 10]
        waiting = asyncio.create_task(routed.stream.wait_for_room())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        for lane in routed.lanes:
            lane.queued -= 1
        await waiting

    bounded(story())
    assert routed.report.ledger.deliveries.dropped.total() == 0
