"""The router of a stream: positions, what is counted again and what is not, waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from engine.directives.asset_document import parse_assets
from engine.directives.index import DirectiveRoutingKeys, routing_keys_of
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
DEADLINE = 30.0
EVERYWHERE = event(99)
"""Is for both workers."""


class Lane(StreamQueue):
    """A queue that records what is put on it."""

    def __init__(self, start: int) -> None:
        super().__init__(10, 1 << 20, start, lambda: None)
        self.put_at: list[tuple[int, int]] = []
        """Position and time of each event that was taken."""
        self.times: list[int] = []
        self.begun: list[tuple[int, int]] = []
        """Generations that have begun, and after which position."""

    def set_time(self, now: int) -> None:
        super().set_time(now)
        self.times.append(now)

    def begin_generation(self, generation: int, after: int = 0) -> None:
        super().begin_generation(generation, after)
        if generation > 1:
            self.begun.append((generation, after - BASE))

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


# Other configurations.

ONLY_IN_2 = event(77)
"""Concerns both workers by `second_table`, and nobody by the first one."""


def second_table(generation: int = 2, plugin: int = 77) -> RoutingTable:
    """Directives of both workers that match this plugin, and nothing else."""
    keys = [
        DirectiveRoutingKeys(
            key.id, tuple(msgspec.structs.replace(rule, plugin_id=plugin) for rule in key.rules)
        )
        for key in map(routing_keys_of, directives())
    ]
    return RoutingTable(
        generation, RouterConfig(msgspec.msgpack.encode(keys), ()), Settings(workers=2)
    )


def test_a_table_is_used_at_once_for_all_that_follows() -> None:
    routed = Routed()
    routed.take(1, EVERYWHERE, ONLY_IN_2)
    routed.stream.use_after(second_table(), routed.stream.newest_position)
    routed.take(3, EVERYWHERE, ONLY_IN_2, now=NOW + 1)
    assert all(lane.put_at == [(1, NOW), (4, NOW + 1)] for lane in routed.lanes)
    assert all(lane.begun == [(2, 2)] for lane in routed.lanes)
    assert routed.events == Events(received=4, routed=2, unmatched=2)


@pytest.mark.parametrize("after", range(2, 8))
def test_a_table_is_used_after_its_position_in_the_middle_of_a_read(after: int) -> None:
    routed = Routed()
    routed.take(1, EVERYWHERE, ONLY_IN_2)
    routed.stream.use_after(second_table(), BASE + after)
    routed.take(3, *[EVERYWHERE, ONLY_IN_2] * 3)
    positions = [n for n in range(1, 9) if (n % 2 == 1) == (n <= after)]
    assert all([at for at, _ in lane.put_at] == positions for lane in routed.lanes)
    assert all(lane.begun == [(2, after)] for lane in routed.lanes)
    assert routed.report.read == BASE + 8
    number = len(positions)
    assert routed.events == Events(received=8, routed=number, unmatched=8 - number)


def test_a_table_is_used_after_a_position_without_events() -> None:
    """Messages may hold no event, and positions may be left out."""
    routed = Routed()
    for generation, after in ((2, 5), (3, 20), (4, 30)):
        routed.stream.use_after(second_table(generation), BASE + after)
    routed.stream.take((), BASE + 1, BASE + 3, NOW)
    assert all(lane.begun == [] for lane in routed.lanes)
    routed.stream.take((ONLY_IN_2,), BASE + 10, BASE + 12, NOW)
    assert all(lane.begun == [(2, 5)] for lane in routed.lanes)
    routed.stream.take((), BASE + 13, BASE + 30, NOW)
    assert all(lane.begun == [(2, 5), (3, 20), (4, 30)] for lane in routed.lanes)
    assert all(lane.put_at == [(10, NOW)] for lane in routed.lanes)
    assert routed.report.read == BASE + 30


def test_several_tables_are_used_one_after_the_other() -> None:
    routed = Routed()
    for generation, after, plugin in ((2, 2, 77), (3, 2, 78), (4, 4, 77), (5, 4, 99), (6, 9, 1)):
        routed.stream.use_after(second_table(generation, plugin), BASE + after)
    routed.take(1, *[EVERYWHERE, ONLY_IN_2] * 3)
    assert all(lane.begun == [(2, 2), (3, 2), (4, 4), (5, 4)] for lane in routed.lanes), (
        "none is left out: a worker may have to restore any of them"
    )
    assert all([at for at, _ in lane.put_at] == [1, 5] for lane in routed.lanes)


def test_what_was_counted_is_routed_by_the_table_that_it_had_and_not_counted() -> None:
    routed = Routed(counted=BASE + 4)
    routed.stream.use_after(second_table(), BASE + 2)
    routed.stream.use_after(second_table(3, plugin=99), BASE + 5)
    routed.take(1, *[EVERYWHERE, ONLY_IN_2] * 4)
    assert all([at for at, _ in lane.put_at] == [1, 4, 7] for lane in routed.lanes)
    assert routed.events == Events(received=4, routed=1, unmatched=3)
    assert routed.report.accepted == {0: 3, 1: 3}


def test_the_newest_position_is_behind_all_that_was_promised() -> None:
    """A table that comes now must not be used for what other tables are to route."""
    routed = Routed(counted=BASE + 4)
    assert routed.stream.newest_position == BASE + 4
    routed.stream.use_after(second_table(), BASE + 7)
    assert routed.stream.newest_position == BASE + 7
    routed.take(1, *[EVERYWHERE] * 9)
    assert routed.stream.newest_position == BASE + 9
    routed.stream.use_after(second_table(3), routed.stream.newest_position)
    assert all(lane.begun == [(2, 7), (3, 9)] for lane in routed.lanes)


def test_a_table_is_used_where_the_stream_begins_behind_its_position() -> None:
    routed = Routed(ShardStart(BASE + 9, A), ShardStart(BASE + 9, A))
    routed.stream.use_after(second_table(), BASE + 3)
    for lane in routed.lanes:
        lane.forget(BASE + 9)
    bounded(routed.stream.begin(BASE + 9, NOW, A))
    assert [lane.begun for lane in routed.lanes] == [[(2, 9)]] * 2
    routed.take(10, ONLY_IN_2)
    assert all(lane.put_at == [(10, NOW)] for lane in routed.lanes)
