"""The source of a stream with a real server: whatever happens to it, events go on exactly once."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from shutil import copytree, rmtree
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from loguru import logger

from shards.positions import base_of, sequence_of
from shards.settings.settings import Settings
from shards.sources import jetstream, stream_reader
from shards.sources.stream_reader import BATCH
from shards.sources.stream_source import StreamSource
from tests.support.nats_server import Login, NatsServer, TcpProxy, frame_with_headers, wait_until
from tests.support.stream_server import EVENTS, STREAM, JetStream, jetstream_server

pytestmark = pytest.mark.integration
DEADLINE = 60.0
aside = asyncio.to_thread
"""What blocks runs in a thread: the source goes on meanwhile."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with jetstream_server(tmp_path / "nats") as made:
        yield made


@pytest.fixture
def js(server: NatsServer) -> Iterator[JetStream]:
    with JetStream(server) as made:
        yield made


@pytest.fixture(autouse=True)
def log() -> Iterator[list[str]]:
    """What is logged from WARNING up: message and reason."""
    lines: list[str] = []

    def note(message: Any) -> None:
        record = message.record
        lines.append(f"{record['message']}: {record['extra'].get('why', '')}")

    handler = logger.add(note, level="WARNING", format="{message}")
    yield lines
    logger.remove(handler)


class Sink:
    """Takes events as the router of a service that has just been installed."""

    def __init__(self, start: int = 0, stream: str = "") -> None:
        self.start = self.newest = start
        self.counted = 0
        self.stream = stream
        self.begun: list[tuple[int, int, str]] = []
        self.events: list[tuple[int, int]] = []
        """Number and position of each event."""
        self.read: list[int] = []
        self.times: list[int] = []
        self.room: float = float("inf")
        """Number of events that there is room for."""

    async def begin(self, start: int, now: int, stream: str) -> None:
        self.begun.append((start, now, stream))

    def take(self, events: Sequence[bytes], first: int, last: int, now: int) -> None:
        self.events += [(int(event), first + n) for n, event in enumerate(events)]
        self.read.append(last)
        self.times.append(now)

    def advance_time(self, now: int) -> None:
        self.times.append(now)

    async def wait_for_room(self) -> None:
        while len(self.events) >= self.room:
            await asyncio.sleep(0.01)

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.events]

    def check(self) -> None:
        """Positions only grow, time does not go back."""
        positions = [position for _, position in self.events]
        assert all(a < b for a, b in pairwise(positions))
        assert self.read == sorted(self.read)
        assert self.times == sorted(self.times)


class Node:
    """A source, what it reads from, and where its events go."""

    def __init__(self, msq: str, sink: Sink, **settings: Any) -> None:
        self.sink = sink
        settings = {"stream": STREAM, "stream_from": "all"} | settings
        self.source = StreamSource(
            sink, Settings(mode="cluster-backend", node="n", msq=msq, **settings)
        )

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {len(self.sink.events)} events"
            await asyncio.sleep(0.01)

    async def has(self, number: int) -> None:
        """Wait for so many events."""
        await self.until(lambda: len(self.sink.events) >= number, f"{number} events")

    async def reading(self) -> None:
        await self.until(lambda: self.source.connected, "a connection")

    async def counts(self, expired: int) -> None:
        """Wait until so many messages have expired."""
        await self.until(lambda: self.source.feed.expired >= expired, f"{expired} expired")
        assert self.source.feed.expired == expired


@asynccontextmanager
async def reading(msq: str, sink: Sink | None = None, **settings: Any) -> AsyncIterator[Node]:
    node = Node(msq, sink or Sink(), **settings)
    await node.source.start()
    try:
        yield node
    finally:
        await node.source.stop()
        node.sink.check()


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(100):
            await story()

    uvloop.run(bounded())


def numbers(*ranges: tuple[int, int]) -> list[int]:
    return [number for first, end in ranges for number in range(first, end)]


# Where reading begins.


def test_all_messages_are_read_in_order_with_their_sequences(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 5000)
        async with reading(server.url) as node:
            await node.has(5000)
            await aside(js.publish, 5000, 5000)
            await node.has(10_000)
            assert node.sink.events == [(n, base_of(1) + n + 1) for n in range(10_000)]
            (begun,) = node.sink.begun
            assert begun[0] == base_of(1)
            assert begun[1] == pytest.approx(time.time(), abs=3)
            assert begun[2].startswith(f"{STREAM}@")
            await node.until(lambda: node.source.lag == 0, "no lag")
        assert (node.source.feed.expired, node.source.feed.lost) == (0, 0)
        assert log == []

    play(story)


@pytest.mark.parametrize("exists", [0, 100])
def test_a_fresh_node_begins_with_new_messages(
    server: NatsServer, js: JetStream, exists: int
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, exists)
        async with reading(server.url, stream_from="new") as node:
            await node.reading()
            await aside(js.publish, exists, 50)
            await node.has(50)
            assert node.sink.numbers == numbers((exists, exists + 50))
        assert node.sink.begun[0][0] == base_of(1) + exists
        assert node.source.feed.expired == 0

    play(story)


def test_a_fresh_node_begins_at_a_time(server: NatsServer, js: JetStream) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        await asyncio.sleep(0.05)
        when = datetime.now(UTC).isoformat()
        await asyncio.sleep(0.05)
        js.publish(100, 50)
        async with reading(server.url, stream_from=when) as node:
            await node.has(50)
            assert node.sink.numbers == numbers((100, 150))
        assert node.sink.begun[0][0] == base_of(1) + 100
        assert node.source.feed.expired == 0

    play(story)


@pytest.mark.parametrize("year", [1990, 2190])
def test_a_time_before_or_after_all_messages(server: NatsServer, js: JetStream, year: int) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 20)
        async with reading(server.url, stream_from=f"{year}-01-01T00:00:00Z") as node:
            await node.reading()
            await aside(js.publish, 20, 10)
            await node.has(10 if year > 2100 else 30)
            assert node.sink.numbers[-10:] == numbers((20, 30))
            assert len(node.sink.numbers) == (10 if year > 2100 else 30)

    play(story)


def test_what_expired_before_a_fresh_node_began_is_not_missing(
    server: NatsServer, js: JetStream
) -> None:
    async def story() -> None:
        js.create(max_msgs=10)
        js.publish(0, 100)
        async with reading(server.url) as node:
            await node.has(10)
            assert node.sink.numbers == numbers((90, 100))
        assert node.sink.begun[0][0] == base_of(1) + 90
        assert node.source.feed.expired == 0

    play(story)


def test_a_router_after_another_goes_on_after_the_position_of_the_shards(
    server: NatsServer, js: JetStream
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        async with reading(server.url) as first:
            await first.has(100)
        stream = first.sink.begun[0][2]
        js.publish(100, 20)
        sink = Sink(base_of(1) + 70, stream)
        async with reading(server.url, sink, stream_from="new") as node:
            await node.has(50)
            assert node.sink.events == [(n, base_of(1) + n + 1) for n in range(70, 120)]
        assert sink.begun == [(base_of(1) + 70, 0, stream)]

    play(story)


# The stream.


def test_a_stream_that_is_missing_is_waited_for(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        async with reading(server.url) as node:
            await node.until(lambda: log, "a line")
            await asyncio.sleep(1.5)
            assert not node.source.connected
            js.create()
            await aside(js.publish, 0, 100)
            await node.has(100)
            assert node.sink.numbers == numbers((0, 100))

    play(story)
    (line,) = log
    assert "there is no such stream" in line


def test_a_stream_that_is_missing_is_created_with_its_limits(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    limits: dict[str, Any] = {"stream_max_age": 2, "stream_max_bytes": 1_000_000}

    async def story() -> None:
        async with reading(server.url, Sink(), stream_create=True, **limits) as node:
            await node.reading()
            await aside(js.publish, 0, 100)
            await node.has(100)

    play(story)
    config = js.info()["config"]
    assert config["subjects"] == [EVENTS]
    assert (config["storage"], config["retention"], config["discard"]) == ("file", "limits", "old")
    assert config["max_age"] == 7200 * 10**9
    assert config["max_bytes"] == 1_000_000
    assert log == []


def test_a_stream_without_limits(server: NatsServer, js: JetStream) -> None:
    async def story() -> None:
        limits: dict[str, Any] = {"stream_max_age": 0, "stream_max_bytes": 0}
        async with reading(server.url, Sink(), stream_create=True, **limits) as node:
            await node.reading()

    play(story)
    config = js.info()["config"]
    assert (config["max_age"], config["max_bytes"]) == (0, -1)


def test_a_stream_with_another_subject_is_not_read(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create("other", "dsiem_events.*")
        async with reading(server.url) as node:
            await node.until(lambda: log, "a line")
            await asyncio.sleep(1.5)
            js.update(subjects=["other", EVENTS])
            await aside(js.publish, 0, 10)
            await node.has(10)

    play(story)
    (line,) = log
    assert "its subjects are other, dsiem_events.*: dsiem_events is missing" in line


@pytest.mark.parametrize("pattern", ["*", ">", EVENTS])
def test_every_pattern_that_the_subject_fits(
    server: NatsServer, js: JetStream, pattern: str
) -> None:
    async def story() -> None:
        js.create(pattern, no_ack=pattern == ">")
        async with reading(server.url) as node:
            await node.reading()
            js.send(frame_with_headers(EVENTS, b"7", b"A: b\r\n"))
            await node.has(1)

    play(story)


def test_other_subjects_of_the_stream_are_no_events_and_not_missing(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create(EVENTS, "logs.>")
        for start in range(0, 1000, 10):
            js.publish(start, 10)
            js.publish(0, start % 7, "logs.a")
        js.publish(0, 5000, "logs.b")
        js.publish(1000, 5)
        async with reading(server.url) as node:
            await node.has(1005)
            await node.until(lambda: node.source.lag == 0, "no lag")
            assert node.sink.numbers == numbers((0, 1005))
            assert node.sink.read[-1] == base_of(1) + js.last
            await aside(js.publish, 0, 10, "logs.c")
            await node.until(lambda: node.sink.read[-1] == base_of(1) + js.last, "the rest")
        assert node.source.feed.expired == 0

    play(story)
    assert log == []


def test_messages_with_headers(server: NatsServer, js: JetStream) -> None:
    async def story() -> None:
        js.create()
        headers = [b"A: b\r\n", b"Nats-Msg-Id: %d\r\n", b"A: \r\n" * 100]
        for number in range(30):
            header = headers[number % 3]
            header = header % number if b"%" in header else header
            js.send(frame_with_headers(EVENTS, b"%d" % number, header))
        js.publish(30, 10)
        async with reading(server.url) as node:
            await node.has(40)
            assert node.sink.numbers == numbers((0, 40))

    play(story)


def test_a_purge_counts_what_was_not_read(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        async with reading(server.url) as node:
            await node.has(100)
            js.purge()  # all of it has been read
            await aside(js.publish, 100, 50)
            await node.has(150)
            assert node.source.feed.expired == 0
            node.sink.room = 0
            await aside(js.publish, 150, 10_000)
            await asyncio.sleep(0.3)
            read = len(node.sink.events)
            assert read < 10_150
            js.purge()
            await node.counts(10_150 - read)
            node.sink.room = float("inf")
            await aside(js.publish, 20_000, 10)
            await node.has(read + 10)
            assert node.sink.numbers == numbers((0, read), (20_000, 20_010))
            await node.until(lambda: node.source.lag == 0, "no lag")
        assert node.source.feed.expired == 10_150 - read

    play(story)
    assert log == []


def test_a_stream_that_is_deleted_and_made_anew_while_it_is_read(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        async with reading(server.url) as node:
            await node.has(100)
            js.delete()
            await node.until(lambda: not node.source.connected, "an end")
            await asyncio.sleep(1)
            js.create()
            await aside(js.publish, 1000, 30)
            await node.has(130)
            assert node.sink.numbers == numbers((0, 100), (1000, 1030))
            assert node.sink.events[-1][1] == base_of(2) + 30
            assert node.sink.begun[-1][0] == base_of(2)
        assert node.source.feed.expired == 0

    play(story)
    assert sum("made anew" in line for line in log) == 1
    assert sum("there is no such stream" in line for line in log) == 1
    assert len(log) <= 4, log


def test_a_stream_that_is_made_anew_at_once_and_is_longer_then(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        async with reading(server.url) as node:
            await node.has(100)
            js.delete()
            js.create()
            await aside(js.publish, 1000, 300)
            await node.has(400)
            assert node.sink.numbers == numbers((0, 100), (1000, 1300))
            assert node.sink.events[-1][1] == base_of(2) + 300

    play(story)
    assert sum("made anew" in line for line in log) == 1


def test_a_sealed_stream_is_read_to_its_end(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        async with reading(server.url) as node:
            await node.has(100)
            js.update(sealed=True, deny_delete=True, deny_purge=True)
            await asyncio.sleep(1.5)
            assert node.source.connected
            times = len(node.sink.times)
            await node.until(lambda: len(node.sink.times) > times, "time")
        async with reading(server.url) as again:
            await again.has(100)

    play(story)
    assert log == []


def test_a_stream_that_discards_faster_than_it_is_read(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create(max_msgs=50)
        async with reading(server.url) as node:
            await node.reading()
            for round_ in range(5):
                node.sink.room = len(node.sink.events)
                await aside(js.publish, round_ * 20_000, 20_000)
                node.sink.room = float("inf")
                await node.until(lambda: node.source.lag == 0, "no lag")
            await node.until(lambda: node.sink.read[-1] == base_of(1) + 100_000, "the end")
            await node.until(lambda: node.sink.numbers[-1] == 99_999, "the last one")
            assert len(node.sink.events) < 100_000
            assert node.source.feed.expired == 100_000 - len(node.sink.events)
            assert all(number + 1 == sequence_of(at) for number, at in node.sink.events)

    play(story)
    assert log == []


# The consumer.


def test_a_consumer_that_is_deleted_is_made_again(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        async with reading(server.url) as node:
            await node.has(100)
            assert js.delete_consumers() == 1
            await aside(js.publish, 100, 100)
            await node.has(200)
            assert node.sink.numbers == numbers((0, 200))

    play(story)
    (line,) = log
    assert "onsumer" in line


def test_a_consumer_that_is_deleted_in_the_middle_of_many_messages(
    server: NatsServer, js: JetStream
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 50_000)
        async with reading(server.url) as node:
            for part in range(1, 5):
                await node.has(part * 9000)
                await aside(js.delete_consumers)
            await node.has(50_000)
            assert node.sink.numbers == numbers((0, 50_000))
        assert node.source.feed.expired == 0

    play(story)


def test_a_load_that_goes_on_is_no_trouble(
    server: NatsServer, js: JetStream, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if messages come while the server is asked for the state of the stream."""
    monkeypatch.setattr(stream_reader, "PROBE_SECONDS", 0.001)

    async def story() -> None:
        js.create()
        async with reading(server.url) as node:
            await node.reading()
            for start in range(0, 600, 2):
                await aside(js.publish, start, 2)
            await node.has(600)
            assert node.sink.numbers == numbers((0, 600))
            assert len(node.sink.begun) == 1

    play(story)
    assert log == []


def test_a_request_that_is_answered_as_the_reading_ends_does_not_hold_up_the_end(
    server: NatsServer, js: JetStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asyncio.wait_for` drops a cancellation that comes together with the answer."""
    asked: list[None] = []

    async def stream_info(client: Any, stream: str) -> jetstream.StreamInfo:
        asked.append(None)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return await jetstream.stream_info(client, stream)

    monkeypatch.setattr(stream_reader, "PROBE_SECONDS", 0.001)
    monkeypatch.setattr(stream_reader, "jetstream", SimpleNamespace(stream_info=stream_info))

    async def story() -> None:
        js.create()
        async with reading(server.url) as node:
            await node.until(lambda: asked, "a request")

    play(story)
    assert len(asked) == 2  # the task went on, and was cancelled again


# Much of it.


def test_without_room_lag_grows_and_no_more_than_two_requests_are_under_way(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 30_000)
        sink = Sink()
        sink.room = 1
        async with reading(server.url, sink) as node:
            await node.has(1)
            await asyncio.sleep(1.5)
            assert len(sink.events) <= 2 * BATCH
            assert node.source.lag == 30_000 - len(sink.events)
            await aside(js.publish, 30_000, 1000)
            await node.until(lambda: node.source.lag == 31_000 - len(sink.events), "the lag")
            assert len(sink.events) <= 2 * BATCH
            for room in range(5000, 40_000, 5000):
                sink.room = room
                await node.has(min(room, 31_000))
                assert len(sink.events) < room + 2 * BATCH
            assert sink.numbers == numbers((0, 31_000))
            await node.until(lambda: node.source.lag == 0, "no lag")

    play(story)
    assert log == []


def test_large_messages_are_bounded_by_their_bytes(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        for number in range(0, 60, 10):
            js.publish(number, 10, size=1_000_000)
        js.publish(60, 5000)
        js.publish(5060, 20, size=1_048_000)
        sink = Sink()
        sink.room = 1
        async with reading(server.url, sink) as node:
            await node.has(1)
            await asyncio.sleep(1)
            assert len(sink.events) <= 10
            sink.room = float("inf")
            started = time.monotonic()
            await node.has(5080)
            assert time.monotonic() - started < 8, "no request waits for its end"
            assert sink.numbers == numbers((0, 5080))

    play(story)
    assert log == []


def test_messages_as_large_as_the_server_takes(tmp_path: Path) -> None:
    config = "max_payload: 8MB"
    with (
        jetstream_server(tmp_path / "nats", config, "max_pending: 64MB") as server,
        JetStream(server) as js,
    ):

        async def story() -> None:
            js.create()
            js.publish(0, 4, size=(8 << 20) - 1)
            js.publish(4, 10)
            async with reading(server.url) as node:
                await node.has(14)
                assert node.sink.numbers == numbers((0, 14))

        play(story)


# The server.


def test_a_server_that_is_killed_and_started_again(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 20_000)
        async with reading(server.url) as node:
            await node.has(5000)
            server.kill()
            await node.until(lambda: not node.source.connected, "an end")
            await asyncio.sleep(1)
            await aside(server.start)
            with JetStream(server) as again:
                end = again.last
                assert end == 20_000
                await aside(again.publish, 20_000, 1000)
                await node.has(21_000)
                assert node.sink.numbers == numbers((0, 21_000))
        assert node.source.feed.lost == 1
        assert node.source.feed.expired == 0

    play(story)
    assert sum("the connection is lost" in line for line in log) == 1
    assert not [line for line in log if "permitted" in line], log
    assert len(log) <= 5, log


def test_a_server_that_is_away_for_longer_than_a_request_waits(
    server: NatsServer, js: JetStream, log: list[str]
) -> None:
    async def story() -> None:
        js.create()
        js.publish(0, 100)
        async with reading(server.url) as node:
            await node.has(100)
            server.kill()
            await asyncio.sleep(7)
            await aside(server.start)
            with JetStream(server) as again:
                await aside(again.publish, 100, 10)
                await node.has(110)

    play(story)
    assert not [line for line in log if "no answer" in line], log


def test_a_connection_that_is_lost_during_a_request(server: NatsServer, log: list[str]) -> None:
    """Nobody is told to look at permissions for that."""

    async def story() -> None:
        with TcpProxy(server.port) as proxy:
            async with reading(proxy.url) as node:
                await node.until(lambda: log, "a line")
                proxy.black_hole()
                await asyncio.sleep(1)
                proxy.cut()
                await node.until(lambda: any("no answer" in line for line in log), "a line")
                proxy.let_through()
                with JetStream(server) as js:
                    js.create()
                    await aside(js.publish, 0, 10)
                    await node.has(10)

    play(story)
    assert not [line for line in log if "permitted" in line], log


def test_a_server_whose_stream_is_gone_with_its_disk(tmp_path: Path, log: list[str]) -> None:
    folder = tmp_path / "nats"
    with jetstream_server(folder) as server:

        async def story() -> None:
            with JetStream(server) as js:
                js.create()
                js.publish(0, 100)
            async with reading(server.url) as node:
                await node.has(100)
                server.kill()
                (folder / "jetstream").rename(tmp_path / "gone")
                await aside(server.start)
                with JetStream(server) as js:
                    js.create()
                    await aside(js.publish, 500, 20)
                    await node.has(120)
                    assert node.sink.numbers == numbers((0, 100), (500, 520))

        play(story)
    assert sum("made anew" in line for line in log) == 1


def test_a_server_that_has_lost_the_newest_messages(tmp_path: Path, log: list[str]) -> None:
    """As after a power failure: messages that follow have sequences that were there before."""
    folder = tmp_path / "nats"
    store = folder / "jetstream"
    with jetstream_server(folder) as server:

        async def story() -> None:
            with JetStream(server) as js:
                js.create()
                js.publish(0, 100)
            server.stop()
            copytree(store, tmp_path / "older")
            await aside(server.start)
            with JetStream(server) as js:
                js.publish(100, 50)
            async with reading(server.url) as node:
                await node.has(150)
                server.kill()
                rmtree(store)
                (tmp_path / "older").rename(store)
                await aside(server.start)
                await node.reading()
                with JetStream(server) as js:
                    assert js.last == 100
                    await aside(js.publish, 500, 20)
                await node.has(170)
                assert node.sink.numbers == numbers((0, 150), (500, 520))
                assert node.sink.events[-1][1] == base_of(2) + 120
            assert node.source.feed.expired == 0

        play(story)
    assert sum("newest messages are gone" in line for line in log) == 1


def test_a_server_that_says_nothing_for_a_while(
    server: NatsServer, js: JetStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_reader, "SILENCE_SECONDS", 3.0)

    async def story() -> None:
        js.create()
        js.publish(0, 100)
        with TcpProxy(server.port) as proxy:
            async with reading(proxy.url) as node:
                await node.has(100)
                proxy.black_hole()
                await aside(js.publish, 100, 100)
                await node.until(lambda: not node.source.connected, "an end")
                proxy.let_through()
                await node.has(200)
                assert node.sink.numbers == numbers((0, 200))
                proxy.cut()
                await aside(js.publish, 200, 100)
                await node.has(300)
                assert node.sink.numbers == numbers((0, 300))

    play(story)


def test_a_server_without_jetstream_until_it_has_it(tmp_path: Path, log: list[str]) -> None:
    folder = tmp_path / "nats"
    folder.mkdir()
    more = folder / "more.conf"
    more.write_text("")
    with NatsServer(folder, 'include "more.conf"') as server:

        async def story() -> None:
            async with reading(server.url) as node:
                await node.until(lambda: log, "a line")
                await asyncio.sleep(1.5)
                assert len(log) == 1
                server.stop()
                more.write_text(f'jetstream {{ store_dir: "{folder}/jetstream" }}')
                await aside(server.start)
                with JetStream(server) as js:
                    js.create()
                    await aside(js.publish, 0, 10)
                    await node.has(10)

        play(story)
    assert "the server has no JetStream for this account" in log[0]


USERS = """authorization {{ users: [
  {{ user: admin, password: admin }}
  {{ user: node, password: node, permissions: {{ publish: {{ allow: [{allowed}] }},
     subscribe: {{ allow: ["_INBOX.>"] }} }} }}
] }}"""
NEEDED = (
    f'"$JS.API.STREAM.INFO.{STREAM}", "$JS.API.CONSUMER.CREATE.{STREAM}.>",'
    f'"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.>"'
)
"""What a node may do, as docs/operate.md says."""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[NatsServer, Callable[[str], None]]]:
    """A server, and what sets the permissions of the user node."""
    folder = tmp_path / "nats"
    folder.mkdir()
    users = folder / "users.conf"
    users.write_text(USERS.format(allowed="nothing"))
    server = jetstream_server(folder, 'include "users.conf"')
    server.login = Login("admin", "admin")

    def allow(what: str) -> None:
        users.write_text(USERS.format(allowed=what))
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: "Reloaded server configuration" in server.log(), server.log)

    with server:
        yield server, allow


def as_node(server: NatsServer) -> str:
    return server.url.replace("://", "://node:node@")


def test_a_user_without_permission_until_it_is_given(
    guarded: tuple[NatsServer, Callable[[str], None]], log: list[str]
) -> None:
    server, allow = guarded

    async def story() -> None:
        with JetStream(server) as js:
            js.create()
            js.publish(0, 10)
        async with reading(as_node(server)) as node:
            await node.until(lambda: any("is it permitted?" in line for line in log), "a line")
            await asyncio.sleep(6)
            assert sum("is it permitted?" in line for line in log) == 1
            allow(NEEDED)
            await node.has(10)

    play(story)


def test_the_permissions_that_are_needed_are_enough(
    guarded: tuple[NatsServer, Callable[[str], None]], log: list[str]
) -> None:
    server, allow = guarded
    allow(NEEDED)

    async def story() -> None:
        with JetStream(server) as js:
            js.create()
            js.publish(0, 10_000)
            async with reading(as_node(server)) as node:
                await node.has(10_000)
                js.delete_consumers()
                await aside(js.publish, 10_000, 10)
                await node.has(10_010)
                stopping = time.monotonic()
        assert time.monotonic() - stopping < 2

    play(story)
    assert sum("onsumer" in line for line in log) >= 1


# The end.


def test_a_stop_does_not_wait_for_a_server_that_says_nothing(
    server: NatsServer, js: JetStream
) -> None:
    async def story() -> None:
        js.create()
        with TcpProxy(server.port) as proxy:
            async with reading(proxy.url) as node:
                await node.reading()
                proxy.black_hole()
                await asyncio.sleep(0.1)
                stopping = time.monotonic()
            assert time.monotonic() - stopping < 2

    play(story)


def test_a_stop_before_anything_was_reached() -> None:
    async def story() -> None:
        async with reading("nats://127.0.0.1:1") as node:
            await asyncio.sleep(0.2)
            assert not node.source.connected
            assert node.source.lag == 0

    play(story)
