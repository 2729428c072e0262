"""Server-sent events: bounded streams, and clients that read slowly or not at all."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from shards.history.service_rows import Incident
from shards.ops.console import event_stream
from shards.ops.console.event_stream import MAX_INCIDENTS, MAX_STREAMS
from tests.support.console import ConsoleClient, running_console
from tests.support.history import NOW, add, alarm_line, run

PATH = "/api/v1/events"


class Stream:
    """An open stream of a client."""

    def __init__(self, client: ConsoleClient) -> None:
        self._client = client

    async def __aenter__(self) -> "Stream":
        self._reply = await self._client.session.get(f"{self._client.url}{PATH}")
        assert self._reply.status == 200
        assert await self._reply.content.readline() == b": the console\n"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reply.close()

    async def next(self) -> tuple[str, object]:
        """The kind and the data of the next event."""
        while not (line := await self._reply.content.readline()).startswith(b"event: "):
            assert line, "the stream has ended"
        data = await self._reply.content.readline()
        return line[7:-1].decode(), json.loads(data[6:])

    async def at_end(self) -> bool:
        return not (await self._reply.content.read()).strip()


def test_new_alarms_are_announced_by_the_highest_sequence(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client, Stream(client) as stream:
            history = client.backend.history
            await add(history, [alarm_line(f"a{i}") for i in range(10)])
            assert await stream.next() == ("alarms", {"sequence": history.sequence})
            for i in range(5):
                await add(history, [alarm_line(f"b{i}")])
            last = 0
            while last != history.sequence:
                kind, data = await stream.next()
                assert kind == "alarms"
                assert isinstance(data, dict)
                assert data["sequence"] > last
                last = data["sequence"]

    run(test())


def test_the_state_is_sent_to_each_stream_and_a_reload_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            client.console.tick(client.backend.overview())  # nobody listens
            async with Stream(client) as one, Stream(client) as other:
                client.console.tick(client.backend.overview())
                assert [(await stream.next())[0] for stream in (one, other)] == ["flow", "flow"]

    run(test())


def test_a_client_that_does_not_read_for_a_while_skips_what_is_old(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client, Stream(client) as stream:
            for number in range(3 * MAX_INCIDENTS):
                client.console.tell(Incident(NOW + number, "restart", "router", str(number)))
                client.console._streams.publish("alarms", {"sequence": number})
            texts = [(await stream.next())[1] for _ in range(MAX_INCIDENTS)]
            assert [text["text"] for text in texts if isinstance(text, dict)] == [
                str(number) for number in range(2 * MAX_INCIDENTS, 3 * MAX_INCIDENTS)
            ]
            assert await stream.next() == ("alarms", {"sequence": 3 * MAX_INCIDENTS - 1})

    run(test())


def test_a_client_that_never_reads_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "WRITE_SECONDS", 0.1)

    async def test() -> None:
        async with running_console(tmp_path) as client, Stream(client) as other:
            with socket.create_connection(("127.0.0.1", client.port)) as dead:
                dead.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % PATH.encode())
                streams = client.console._streams
                while len(streams) < 2:
                    await asyncio.sleep(0.01)
                while streams.dropped == 0:
                    streams.publish("flow", "x" * 100_000)
                    assert (await other.next())[0] == "flow"
                assert (len(streams), streams.dropped) == (1, 1)

    run(test())


def test_streams_beyond_the_bound_are_refused_and_a_closed_one_makes_room(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client:
            streams = [Stream(client) for _ in range(MAX_STREAMS)]
            for stream in streams:
                await stream.__aenter__()
            answer = await client.get(PATH)
            assert (answer.status, answer.body) == (503, {"error": "too many pages are open"})
            for stream in streams:
                await stream.__aexit__()
            while len(client.console._streams):
                client.console.tick(client.backend.overview())
                await asyncio.sleep(0.01)
            async with Stream(client):
                pass

    run(test())


def test_streams_end_with_the_service(tmp_path: Path) -> None:
    async def test() -> None:
        async with running_console(tmp_path) as client, Stream(client) as stream:
            client.console.close_streams()
            assert await stream.at_end()
            assert (await client.get(PATH)).status == 503

    run(test())


def test_a_comment_comes_when_there_is_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.01)

    async def test() -> None:
        async with running_console(tmp_path) as client, Stream(client) as stream:
            lines = [await stream._reply.content.readline() for _ in range(6)]
            assert lines.count(b":\n") >= 2

    run(test())
