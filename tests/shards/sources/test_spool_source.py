"""Events over HTTP with a spool: on the disk before the answer, and passed on in this order."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from shards.positions import base_of, sequence_of
from shards.sources.event_source import Refusal
from shards.sources.http_source import HttpSource
from shards.sources.spool import Spool, SpoolRecord
from shards.sources.spool_source import SpoolSource

pytestmark = pytest.mark.integration  # a real server

DEADLINE = 60.0


class Check:
    """Accepts what does not say that it is bad."""

    def take(self, raw: bytes) -> Refusal | None:
        return Refusal("bad_json", "bad") if raw == b"bad" else None

    def flush(self) -> None: ...


class Sink:
    """What the router would take: events by position, and times."""

    def __init__(self, start: int = 0, stream: str = "") -> None:
        self.start = self.newest = self.saved = start
        self.counted = 0
        self.stream = stream
        self.taken: dict[int, bytes] = {}
        self.times: list[int] = []
        self.begun: tuple[int, int, str] | None = None
        self.may_begin = asyncio.Event()
        self.may_begin.set()

    async def begin(self, start: int, now: int, stream: str) -> None:
        await self.may_begin.wait()
        self.begun = start, now, stream

    def take(self, events: Sequence[bytes], first: int, last: int, now: int) -> None:
        assert not self.taken or first == max(self.taken) + 1, "a gap, or out of order"
        assert last == first + len(events) - 1
        self.taken |= zip(range(first, last + 1), events, strict=True)
        self.times.append(now)

    def advance_time(self, now: int) -> None:
        self.times.append(now)

    async def wait_for_room(self) -> None: ...


class Client:
    """Posts bodies to a source."""

    def __init__(self, source: SpoolSource, sink: Sink, url: str, session: Any) -> None:
        self.source = source
        self.sink = sink
        self._url = url
        self._session = session

    async def post(self, body: bytes) -> tuple[int, Any]:
        async with self._session.post(self._url, data=body) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def running(folder: Path, sink: Sink | None = None) -> AsyncIterator[Client]:
    sink = sink or Sink()
    http = HttpSource(Check(), "127.0.0.1", 0)
    source = SpoolSource(sink, http, folder, lambda: int(time.time()))
    http.use_store(source)
    place = await source.start()
    assert place is not None
    async with aiohttp.ClientSession() as session:
        yield Client(source, sink, f"http://127.0.0.1:{place[1]}/events", session)
    await source.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    async def within_the_deadline() -> None:
        async with asyncio.timeout(DEADLINE):
            await test

    uvloop.run(within_the_deadline())


async def until_ready(client: Client) -> None:
    while not client.source.is_ready:
        await asyncio.sleep(0.01)


def on_disk(folder: Path) -> list[bytes]:
    return [event for record in Spool(folder).read(0) for event in record.events]


def test_what_is_accepted_is_on_the_disk_before_the_answer(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as client:
            await until_ready(client)
            assert client.sink.begun is not None
            assert client.sink.begun[0] == base_of(1)
            assert (await client.post(b"1\nbad\n2"))[1]["accepted"] == 2
            assert on_disk(tmp_path) == [b"1", b"2"]
            assert (await client.post(b"bad"))[0] == 400
            assert (await client.post(b"3"))[0] == 200
            assert client.sink.taken == {base_of(1) + n: b"%d" % n for n in (1, 2, 3)}

    run(test())


def test_many_clients_share_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, writes = Spool.append, []

    def slow(spool: Spool, batches: Sequence[tuple[int, list[bytes]]]) -> list[SpoolRecord]:
        writes.append(len(batches))
        time.sleep(0.05)
        return append(spool, batches)

    async def test() -> None:
        monkeypatch.setattr(Spool, "append", slow)
        async with running(tmp_path) as client:
            await until_ready(client)
            answers = await asyncio.gather(*(client.post(b"%d" % n) for n in range(100)))
            assert {status for status, _ in answers} == {200}
            assert sum(writes) == 100
            assert len(writes) < 30
            assert list(client.sink.taken.values()) == on_disk(tmp_path)

    run(test())


def test_a_full_disk_is_507_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    async def test() -> None:
        async with running(tmp_path) as client:
            await until_ready(client)
            assert (await client.post(b"1"))[0] == 200
            with monkeypatch.context() as patch:
                patch.setattr(Spool, "append", fail)
                for _ in range(3):
                    status, answer = await client.post(b"2\n3")
                    assert status == 507
                    assert "nothing is accepted: No space left on device" in answer["error"]
            assert on_disk(tmp_path) == list(client.sink.taken.values()) == [b"1"]
            assert (await client.post(b"2\n3"))[0] == 200
            assert on_disk(tmp_path) == list(client.sink.taken.values()) == [b"1", b"2", b"3"]

    run(test())


def test_what_a_death_left_behind_comes_first(tmp_path: Path) -> None:
    Spool(tmp_path).append([(1000, [b"1", b"2"]), (1001, [b"3"])])
    life = base_of(5)

    async def test() -> None:
        sink = Sink(life + 1, "spool@")
        sink.may_begin.clear()
        async with running(tmp_path, sink) as client:
            assert (await client.post(b"x"))[0] == 503
            assert client.source.connected is False
            sink.may_begin.set()
            await until_ready(client)
            assert (await client.post(b"4"))[0] == 200
            assert sink.begun == (life + 1, 0, "spool@")
            assert {sequence_of(n): event for n, event in sink.taken.items()} == {
                2: b"2",
                3: b"3",
                4: b"4",
            }
            assert sink.times[:2] == [1000, 1001]
            assert sink.times == sorted(sink.times)

    run(test())


def test_without_any_position_all_that_was_accepted_is_read(tmp_path: Path) -> None:
    """The checkpoint is gone; its effect is too."""
    spool = Spool(tmp_path)
    spool.append([(1000, [b"1", b"2"])])
    spool.close()

    async def test() -> None:
        async with running(tmp_path) as client:
            await until_ready(client)
            assert client.sink.taken == {base_of(1) + 1: b"1", base_of(1) + 2: b"2"}

    run(test())


def test_after_a_stream_the_positions_are_higher(tmp_path: Path) -> None:
    Spool(tmp_path).append([(1000, [b"of long ago"])])

    async def test() -> None:
        async with running(tmp_path, Sink(base_of(3) + 700, "EVENTS@2026")) as client:
            await until_ready(client)
            await client.post(b"1")
            assert client.sink.begun is not None
            assert client.sink.begun[0] == base_of(4) + 1
            assert client.sink.taken == {base_of(4) + 2: b"1"}

    run(test())


def test_segments_that_all_checkpoints_are_past_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shards.sources.spool.SEGMENT_BYTES", 1)

    async def test() -> None:
        async with running(tmp_path) as client:
            await until_ready(client)
            for n in range(5):
                await client.post(b"%d" % n)
            assert len(list(tmp_path.iterdir())) == 5
            client.sink.saved = base_of(1) + 3
            while len(list(tmp_path.iterdir())) != 2:
                await asyncio.sleep(0.05)
            assert on_disk(tmp_path) == [b"3", b"4"]

    run(test())


def test_time_goes_on_without_events(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path) as client:
            while len(client.sink.times) < 2:
                await asyncio.sleep(0.05)
            assert client.sink.times[-1] >= int(time.time()) - 2

    run(test())
