"""The parser of a stream's messages: cut at every byte, with gaps, headers and hostile frames."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError

from shards.sources.stream_parser import StreamMessages, StreamParser
from tests.shards.sources.test_nats_parser import ASIDE, PAYLOADS, RecordingClient

SUBJECT, OTHER = "dsiem_events", "firewall.logs"
SECOND = 1_000_000_000
CONSUMER = "dsiem-shards-1"
HEADERS = b"NATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n"
PLACES = ("$JS.ACK.EVENTS.{c}.1.{s}.{s}.{t}.{p}",)
DOMAIN = "$JS.ACK.hub.AB12cd.EVENTS.{c}.1.{s}.{s}.{t}.{p}"
WITH_TOKEN = "$JS.ACK.hub.AB12cd.EVENTS.{c}.1.{s}.{s}.{t}.{p}.rAnDoM"


class Message(NamedTuple):
    """A message of a stream, as the server delivers it; `time` in nanoseconds."""

    sequence: int
    payload: bytes = b"{}"
    time: int = 100 * SECOND
    subject: str = SUBJECT
    headers: bytes = b""
    reply: str = PLACES[0]
    consumer: str = CONSUMER
    pending: int = 0

    @property
    def frame(self) -> bytes:
        place = {"c": self.consumer, "s": self.sequence, "t": self.time, "p": self.pending}
        start = f"{self.subject} 3 {self.reply.format(**place)}".encode()
        size = len(self.headers) + len(self.payload)
        sizes = b"%d %d" % (len(self.headers), size) if self.headers else b"%d" % size
        verb = b"HMSG" if self.headers else b"MSG"
        return b"%b %b %b\r\n%b%b\r\n" % (verb, start, sizes, self.headers, self.payload)


class ParserRun:
    """A parser with a recording client, and the messages that it passed on."""

    def __init__(self) -> None:
        self.client = RecordingClient()
        self.reads: list[list[StreamMessages]] = []
        self.parser = StreamParser(
            self.client, SUBJECT, lambda messages: self.reads.append(list(messages))
        )
        self.parser.use_consumer(CONSUMER)

    @property
    def messages(self) -> list[StreamMessages]:
        return [each for read in self.reads for each in read]

    @property
    def places(self) -> list[tuple[int, int, bytes | None]]:
        """Sequence, second and event of each message; None for those of other subjects."""
        found: list[tuple[int, int, bytes | None]] = []
        for first, last, time, events in self.messages:
            number = last - first + 1
            assert number > 0
            assert len(events) in (0, number)
            payloads: Sequence[bytes | None] = events or [None] * number
            found += [(first + n, time, payload) for n, payload in enumerate(payloads)]
        return found

    def parse(self, *chunks: bytes) -> "ParserRun":
        asyncio.run(self.feed(*chunks))
        return self

    async def feed(self, *chunks: bytes) -> None:
        for chunk in chunks:
            await self.parser.parse(chunk)


def expected(messages: Sequence[Message]) -> list[tuple[int, int, bytes | None]]:
    """What `places` has to be, one message after the other."""
    return [
        (each.sequence, each.time // SECOND, each.payload if each.subject == SUBJECT else None)
        for each in messages
        if each.consumer == CONSUMER
    ]


def run_of(*messages: Message) -> ParserRun:
    """All of these in one read."""
    return ParserRun().parse(b"".join(each.frame for each in messages))


def numbered(first: int, number: int) -> list[Message]:
    return [Message(first + n, b"%d" % n) for n in range(number)]


# One read.


def test_messages_of_a_read_that_follow_each_other_are_passed_on_as_one() -> None:
    feed = run_of(*numbered(7, 5))
    assert feed.reads == [[StreamMessages(7, 11, 100, [b"0", b"1", b"2", b"3", b"4"])]]


def test_a_missing_sequence_splits_a_read() -> None:
    feed = run_of(*numbered(7, 2), *numbered(20, 2), Message(30))
    assert [(first, last) for first, last, _, _ in feed.messages] == [(7, 8), (20, 21), (30, 30)]
    assert len(feed.reads) == 1


def test_another_second_splits_a_read() -> None:
    times = [100 * SECOND, 101 * SECOND - 1, 101 * SECOND, 103 * SECOND]
    feed = run_of(*(Message(1 + n, time=time) for n, time in enumerate(times)))
    assert [each[:3] for each in feed.messages] == [(1, 2, 100), (3, 3, 101), (4, 4, 103)]


def test_a_gap_and_a_repeat_that_cancel_each_other_out_are_seen() -> None:
    """First and last alone would look contiguous only if the messages between are in order."""
    feed = run_of(Message(5, b"a"), Message(6, b"b"), Message(9, b"c"), Message(10, b"d"))
    assert [(first, last) for first, last, _, _ in feed.messages] == [(5, 6), (9, 10)]


def test_messages_of_other_subjects_have_their_place_and_are_no_events() -> None:
    messages = [
        Message(n, b"x%d" % n, subject=OTHER if n in (2, 3, 5) else SUBJECT) for n in range(1, 7)
    ]
    feed = run_of(*messages)
    assert feed.places == expected(messages)
    assert feed.messages == [
        StreamMessages(1, 1, 100, [b"x1"]),
        StreamMessages(2, 3, 100, []),
        StreamMessages(4, 4, 100, [b"x4"]),
        StreamMessages(5, 5, 100, []),
        StreamMessages(6, 6, 100, [b"x6"]),
    ]


def test_only_messages_of_other_subjects() -> None:
    feed = run_of(*(Message(n, subject=OTHER) for n in range(1, 4)))
    assert feed.messages == [StreamMessages(1, 3, 100, [])]


def test_subjects_that_only_begin_or_end_alike_are_others() -> None:
    subjects = (f"{SUBJECT}.more", f"{SUBJECT}2", f"x{SUBJECT}", SUBJECT.upper())
    for subject in subjects:
        assert run_of(Message(1, subject=subject)).places == [(1, 100, None)], subject


def test_the_event_of_a_message_with_headers_is_its_payload() -> None:
    messages = [Message(1, b"a"), Message(2, b"bc", headers=HEADERS), Message(3, b"")]
    messages.append(Message(4, b"", headers=HEADERS))
    assert run_of(*messages).messages == [StreamMessages(1, 4, 100, [b"a", b"bc", b"", b""])]


@pytest.mark.parametrize("reply", [PLACES[0], DOMAIN, WITH_TOKEN])
def test_every_form_of_the_reply_subject(reply: str) -> None:
    feed = run_of(*(Message(n, b"a", 7 * SECOND, reply=reply, pending=9 - n) for n in (4, 5)))
    assert feed.messages == [StreamMessages(4, 5, 7, [b"a", b"a"])]
    assert feed.parser.lag == 4


def test_the_lag_is_that_of_the_last_message() -> None:
    feed = run_of(Message(1, pending=5), Message(3, pending=2))
    assert feed.parser.lag == 2


# Another consumer.


def test_messages_of_an_earlier_consumer_are_left_out() -> None:
    """They may still be under way when the next one has begun; the client drops them."""
    stale = [
        Message(90, b"old", consumer="dsiem-shards-0"),
        Message(91, b"old", consumer="dsiem-shards-0", headers=HEADERS),
        Message(92, b"old", consumer="dsiem-shards-0", subject=OTHER),
        Message(93, b"old", consumer="dsiem-shards-11"),
    ]
    for each in stale:
        messages = [Message(1, b"a"), each, Message(2, b"b")]
        feed = run_of(*messages)
        assert feed.places == expected(messages)
        assert len(feed.client.handled) == 1
        alone = run_of(each)
        assert alone.messages == []
        assert len(alone.client.handled) == 1


def test_before_there_is_a_consumer_no_message_is_taken() -> None:
    client = RecordingClient()
    taken: list[object] = []
    parser = StreamParser(client, SUBJECT, taken.append)
    asyncio.run(parser.parse(Message(1).frame + Message(2, headers=HEADERS).frame))
    assert taken == []
    assert len(client.handled) == 2


def test_another_consumer_can_be_used_between_two_reads() -> None:
    feed = run_of(Message(1, b"a"))
    feed.parser.use_consumer("next")
    feed.parse(Message(2, b"stale").frame + Message(2, b"b", consumer="next").frame)
    assert [events for *_, events in feed.messages] == [[b"a"], [b"b"]]


# Pieces.

FAKE = Message(99, b"fake").frame


def mixture() -> tuple[bytes, list[Message], list[object]]:
    """All operations and all kinds of messages; the messages, and the calls of the client."""
    frames, messages, handled = [b"+OK\r\n"], [], []
    sequence, time = 0, 100 * SECOND
    for number, payload in enumerate([*PAYLOADS, FAKE, b"\r\n" + FAKE]):
        aside, call = ASIDE[number % len(ASIDE)]
        some = [
            Message(sequence + 1, payload, time),
            Message(sequence + 2, payload, time, headers=HEADERS),
            Message(sequence + 3, payload, time, OTHER),
            Message(sequence + 4, payload, time + number * SECOND // 4, reply=WITH_TOKEN),
        ]
        frames += [some[0].frame, aside, *(each.frame for each in some[1:])]
        handled.append(call)
        messages += some
        sequence += 4 + number % 3
        time += number * SECOND // 4
    return b"".join(frames), messages, handled


def test_a_stream_cut_in_two_at_any_byte_gives_the_same() -> None:
    whole, messages, handled = mixture()
    wanted = expected(messages)

    async def at_each_byte() -> None:
        for at in range(len(whole) + 1):
            run = ParserRun()
            await run.feed(whole[:at], whole[at:])
            assert run.places == wanted, at
            assert run.client.handled == handled, at

    asyncio.run(at_each_byte())


def test_a_stream_byte_by_byte_gives_the_same() -> None:
    whole, messages, handled = mixture()
    feed = ParserRun().parse(*(whole[at : at + 1] for at in range(len(whole))))
    assert feed.places == expected(messages)
    assert feed.client.handled == handled


def one_by_one(data: bytes) -> list[tuple[int, int, bytes | None]]:
    """A plain parser of the same, which looks at every frame."""
    found: list[tuple[int, int, bytes | None]] = []
    while data:
        line, _, data = data.partition(b"\r\n")
        verb, *words = line.split(b" ")
        if verb not in (b"MSG", b"HMSG"):
            continue
        size = int(words[-1])
        headers = int(words[-2]) if verb == b"HMSG" else 0
        payload, data = data[headers:size], data[size + 2 :]
        tokens = words[2].decode().split(".")
        if tokens[:2] != ["$JS", "ACK"]:
            continue
        if len(tokens) == 9:
            tokens[2:2] = ["", ""]
        if tokens[5] == CONSUMER:
            event = payload if words[0] == SUBJECT.encode() else None
            found.append((int(tokens[7]), int(tokens[9]) // SECOND, event))
    return found


steps = st.builds(
    Message,
    sequence=st.sampled_from([1, 1, 1, 1, 2, 5]),
    payload=st.one_of(st.binary(max_size=30), st.just(FAKE)),
    time=st.sampled_from([0, 0, 0, 1, SECOND // 3, SECOND, 5 * SECOND]),
    subject=st.sampled_from([SUBJECT, SUBJECT, SUBJECT, OTHER]),
    headers=st.sampled_from([b"", b"", HEADERS]),
    reply=st.sampled_from([PLACES[0], DOMAIN, WITH_TOKEN]),
    consumer=st.sampled_from([CONSUMER, CONSUMER, CONSUMER, CONSUMER, "stale"]),
    pending=st.just(3),
)


@given(
    st.lists(st.one_of(steps, st.sampled_from([frame for frame, _ in ASIDE])), max_size=30),
    st.lists(st.integers(0, 6000), max_size=12),
)
def test_it_gives_what_a_plain_parser_gives(parts: list[Message | bytes], cuts: list[int]) -> None:
    """`sequence` and `time` of a part are the steps from those of the message before."""
    frames, sequence, time = [], 0, 100 * SECOND
    for part in parts:
        if isinstance(part, Message):
            sequence, time = sequence + part.sequence, time + part.time
            frames.append(part._replace(sequence=sequence, time=time).frame)
        else:
            frames.append(part)
    whole = b"".join(frames)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    feed = ParserRun().parse(*(whole[a:b] for a, b in pairwise(edges)))
    assert feed.places == one_by_one(whole)
    assert feed.parser.received == len(feed.places)


def test_a_message_of_any_size_that_the_server_allows_comes_whole() -> None:
    feed = ParserRun()
    payload = b"y" * feed.client.max_payload
    whole = Message(1, b"a").frame + Message(2, payload).frame
    feed.parse(*(whole[at : at + 65_536] for at in range(0, len(whole), 65_536)))
    assert feed.places == [(1, 100, b"a"), (2, 100, payload)]


def test_a_new_connection_begins_with_nothing_left_of_the_old_one() -> None:
    feed = ParserRun().parse(Message(1, b"one").frame + Message(2, b"half of").frame[:-5])
    feed.parser.reset()
    feed.parse(Message(2, b"two").frame)
    assert feed.places == [(1, 100, b"one"), (2, 100, b"two")]


def test_control_lines_are_not_remembered() -> None:
    """Each is another one."""
    stale = [Message(n, consumer="stale") for n in range(1, 100)]
    feed = run_of(*numbered(1, 10_000), *stale)
    assert len(feed.parser._known) == 0


# Hostile frames.

ACK = b"$JS.ACK.EVENTS.dsiem-shards-1.1"


def line(place: bytes, size: bytes = b"2", payload: bytes = b"{}") -> bytes:
    return b"MSG dsiem_events 3 %b %b\r\n%b\r\n" % (place, size, payload)


@pytest.mark.parametrize(
    "wrong",
    [
        line(ACK + b".2.2.100.0", b"1048577"),
        line(ACK + b".2.2.100.0", b"99999999999"),
        line(ACK + b".2.2.100.0", b"9" * 5000),
        line(ACK + b".2.2.100.0", b"-2"),
        line(ACK + b".2.2.100.0", b"x"),
        line(ACK + b".2.2.100.0", b""),
        line(ACK + b".2.2.100.0", b"3"),
        line(ACK + b".2.2.100.0", b"1"),
        line(ACK + b".2.2.100"),
        line(ACK),
        line(ACK + b".2.2.100.0.a.b.c.d.e"),
        line(ACK + b".x.2.100.0"),
        line(ACK + b".2.2.x.0"),
        line(ACK + b".2.2.100.x"),
        line(ACK + b".-2.2.100.0"),
        line(ACK + b".0.2.100.0"),
        line(ACK + b".2.2.-100.0"),
        line(ACK + b".2.2.100.-1"),
        line(ACK + b"." + b"9" * 30 + b".2.100.0"),
        line(ACK + b"." + b"9" * 5000 + b".2.100.0"),
        line("$JS.ACK.EVENTS.dsiem-shards-1.1.²².2.100.0".encode()),
        b"HMSG dsiem_events 3 " + ACK + b".2.2.100.0 9 3\r\n{}\r\n",
        b"HMSG dsiem_events 3 " + ACK + b".2.2.100.0 x 3\r\n{}\r\n",
        b"HMSG dsiem_events 3 " + ACK + b".2.2.100.0 2 1048577\r\n{}\r\n",
        b"MSG dsiem_events 3\r\n",
        b"MSG\r\n",
        b"x" * (1 << 21),
        b"\r\n",
    ],
)
def test_what_no_server_sends_ends_the_connection_and_not_the_process(wrong: bytes) -> None:
    """All that is read again after a new connection is what was not passed on."""
    for good in (b"", Message(1, b"good").frame):
        feed = ParserRun()
        with pytest.raises(ProtocolError):
            feed.parse(good, wrong + b"MSG")
        assert feed.places == ([(1, 100, b"good")] if good else [])


def test_a_source_that_breaks_ends_its_process() -> None:
    """The client would log the error, read no more, and say that it is connected."""

    def broken(_: Sequence[StreamMessages]) -> None:
        raise ValueError("bug")

    parser = StreamParser(RecordingClient(), SUBJECT, broken)
    parser.use_consumer(CONSUMER)
    with pytest.raises(SystemExit):
        asyncio.run(parser.parse(Message(1).frame))
