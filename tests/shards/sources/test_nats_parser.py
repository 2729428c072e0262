"""The parser of the NATS protocol: cut at every byte, with all that a server can send."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import ProtocolError

from shards.sources.nats_parser import EventParser

SUBJECT = "dsiem_events"


class RecordingClient(Client):
    """A client that records the calls of its parser."""

    def __init__(self) -> None:
        super().__init__()
        self.handled: list[object] = []

    async def _process_ping(self) -> None:
        self.handled.append("PING")
        await asyncio.sleep(0)

    async def _process_pong(self) -> None:
        self.handled.append("PONG")

    async def _process_err(self, err_msg: str) -> None:
        self.handled.append(err_msg)

    async def _process_info(self, info: dict[str, object], _initial: bool = False) -> None:
        self.handled.append(info)

    async def _process_msg(self, *about: object) -> None:
        self.handled.append(about)


class ParserRun:
    """A parser with a recording client, and the events that it passed on."""

    def __init__(self) -> None:
        self.client = RecordingClient()
        self.reads: list[list[bytes]] = []
        self.parser = EventParser(self.client, SUBJECT, lambda raws: self.reads.append(list(raws)))

    @property
    def events(self) -> list[bytes]:
        return [event for read in self.reads for event in read]

    def parse(self, *chunks: bytes) -> "ParserRun":
        async def feed() -> None:
            for chunk in chunks:
                await self.parser.parse(chunk)

        asyncio.run(feed())
        return self


def message(payload: bytes, subject: str = SUBJECT, reply: str = "") -> bytes:
    return b"MSG %b 1 %b%d\r\n%b\r\n" % (
        subject.encode(),
        f"{reply} ".encode() if reply else b"",
        len(payload),
        payload,
    )


def with_headers(payload: bytes, subject: str = SUBJECT) -> bytes:
    headers = b"NATS/1.0\r\nA: b\r\n\r\n"
    sizes = (subject.encode(), len(headers), len(headers) + len(payload))
    return b"HMSG %b 1 %d %d\r\n" % sizes + headers + payload + b"\r\n"


PAYLOADS = [
    b'{"a": 1}',
    b"",
    b"PING\r\n",
    b"MSG dsiem_events 1 5\r\n",
    b"\r\n\r\n",
    b"x" * 300,
    b"-ERR 'no'\r\n",
    "ü\0".encode(),
]
ASIDE: list[tuple[bytes, object]] = [
    (b"PING\r\n", "PING"),
    (b"PONG\r\n", "PONG"),
    (b'INFO {"a":"b"}\r\n', {"a": "b"}),
    (b"-ERR 'Permissions Violation'\r\n", "'permissions violation'"),
    (message(b"other", "_INBOX.1"), (1, b"_INBOX.1", b"", b"other", None)),
]


def stream() -> tuple[bytes, list[bytes], list[object]]:
    """All operations, interleaved with events; its events, and the expected calls."""
    parts, events, handled = [b"+OK\r\n"], [], []
    for number, payload in enumerate(PAYLOADS):
        aside, expected = ASIDE[number % len(ASIDE)]
        parts += [message(payload), aside, with_headers(payload), message(payload, reply="_R.1")]
        events += [payload] * 3
        handled.append(expected)
    return b"".join(parts), events, handled


def test_a_stream_cut_in_two_at_any_byte_gives_the_same() -> None:
    whole, events, handled = stream()
    for at in range(len(whole) + 1):
        feed = ParserRun().parse(whole[:at], whole[at:])
        assert feed.events == events, at
        assert feed.client.handled == handled, at
        assert feed.parser.received == len(events)


def test_a_stream_byte_by_byte_gives_the_same() -> None:
    whole, events, handled = stream()
    feed = ParserRun().parse(*(whole[at : at + 1] for at in range(len(whole))))
    assert feed.events == events
    assert feed.client.handled == handled


frames = st.one_of(
    st.builds(lambda payload: ("event", payload, message(payload)), st.binary(max_size=60)),
    st.builds(lambda payload: ("event", payload, with_headers(payload)), st.binary(max_size=60)),
    st.sampled_from([("handled", expected, frame) for frame, expected in ASIDE]),
)


@given(st.lists(frames, max_size=30), st.lists(st.integers(0, 4000), max_size=12))
def test_any_frames_in_any_pieces(parts: list[tuple[str, object, bytes]], cuts: list[int]) -> None:
    whole = b"".join(frame for _, _, frame in parts)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    feed = ParserRun().parse(*(whole[a:b] for a, b in pairwise(edges)))
    assert feed.events == [content for kind, content, _ in parts if kind == "event"]
    assert feed.client.handled == [content for kind, content, _ in parts if kind == "handled"]


def test_all_events_of_a_read_are_handed_on_at_once_and_before_anything_is_awaited() -> None:
    """The reader may be cancelled at each await, and with it what it has not handed on."""
    feed = ParserRun()
    whole = message(b"a") + b"PING\r\n" + message(b"b") + b"PING\r\n" + message(b"c")

    async def cancelled() -> None:
        task = asyncio.ensure_future(feed.parser.parse(whole))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert feed.reads == [[b"a", b"b", b"c"]]


def test_a_new_connection_begins_with_nothing_left_of_the_old_one() -> None:
    feed = ParserRun().parse(message(b"one") + b"MSG dsiem_events 1 500\r\nhalf of")
    feed.parser.reset()
    feed.parse(message(b"two"))
    assert feed.events == [b"one", b"two"]


@pytest.mark.parametrize(
    "wrong",
    [
        b"HELLO\r\n",
        b"MSG dsiem_events 1 x\r\nabc\r\n",
        b"MSG dsiem_events 1 -3\r\nabc\r\n",
        b"MSG dsiem_events 1 2\r\nabc\r\n",
        b"MSG dsiem_events 1 1048577\r\n",
        b"MSG dsiem_events 1 99999999999\r\n",
        b"HMSG dsiem_events 1 9 3\r\nabc\r\n",
        b"-ERR\r\n",
        b"INFO {\r\n",
        b"x" * (1 << 21),
        b"\r\n",
    ],
)
def test_an_unknown_operation_ends_the_connection_and_not_the_reader(wrong: bytes) -> None:
    feed = ParserRun()
    with pytest.raises(ProtocolError):
        feed.parse(message(b"good") + wrong)
    assert feed.events == [b"good"]


def test_a_message_of_any_size_that_the_server_allows_comes_whole() -> None:
    feed = ParserRun()
    payload = b"y" * feed.client.max_payload
    whole = message(payload)
    feed.parse(*(whole[at : at + 1000] for at in range(0, len(whole), 1000)))
    assert feed.events == [payload]


def test_sizes_without_end_take_no_memory_without_end() -> None:
    feed = ParserRun()
    feed.parse(b"".join(message(b"z" * size) for size in range(5000)))
    assert len(feed.events) == 5000
    assert len(feed.parser._known) <= 4096


def test_a_router_that_breaks_ends_its_process() -> None:
    """The client would log the error, read no more, and say that it is connected."""

    def broken(_: Sequence[bytes]) -> None:
        raise ValueError("bug")

    parser = EventParser(RecordingClient(), SUBJECT, broken)
    with pytest.raises(SystemExit):
        asyncio.run(parser.parse(message(b"a")))
