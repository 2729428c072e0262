"""How far a stream has been read: positions, missing messages and the clock, without a server."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.positions import base_of, sequence_of
from shards.sources.jetstream import StreamInfo, StreamState, _StreamConfig
from shards.sources.stream_parser import StreamMessages
from shards.sources.stream_progress import StreamProgress

NAME = "EVENTS"
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
IDENTITY = "EVENTS@2026-01-01T00:00:00+00:00"
NOW = 1_800_000_000


class RecordingSink:
    """What the progress passes on; `start` and `newest` as the shards say."""

    def __init__(
        self, start: int = 0, newest: int = 0, stream: str = IDENTITY, counted: int = 0
    ) -> None:
        self.start, self.newest, self.counted = start, newest or start, counted
        self.stream = stream if start else ""
        self.taken: list[tuple[list[bytes], int, int, int]] = []
        self.times: list[int] = []

    async def begin(self, start: int, now: int, stream: str) -> None: ...

    def take(self, events: Sequence[bytes], first: int, last: int, now: int) -> None:
        self.taken.append((list(events), first, last, now))

    def advance_time(self, now: int) -> None:
        self.times.append(now)

    async def wait_for_room(self) -> None: ...

    @property
    def positions(self) -> list[int]:
        return [first + n for events, first, *_ in self.taken for n in range(len(events))]


def info(first: int, last: int, seconds: float = NOW, **more: Any) -> StreamInfo:
    """The state of a stream; `created`: the day when it was."""
    created = CREATED + timedelta(days=more.pop("created", 0))
    ts = datetime.fromtimestamp(seconds, UTC) if seconds else None
    state = StreamState(first, last, max(0, last - first + 1))
    return StreamInfo(_StreamConfig(["dsiem_events"]), state, created, ts)


def messages(first: int, last: int, time: int = NOW, *, events: bool = True) -> StreamMessages:
    sequences = range(first, last + 1)
    return StreamMessages(first, last, time, [b"%d" % n for n in sequences] if events else [])


def begun(sink: RecordingSink, sequence: int = 0) -> StreamProgress:
    progress = StreamProgress(sink)
    progress.begin(NAME, info(1, sequence), sequence)
    return progress


# Reading.


def test_events_have_the_positions_of_their_messages() -> None:
    sink = RecordingSink()
    progress = begun(sink, 10)
    progress.take([messages(11, 12)])
    progress.take([messages(13, 13, NOW + 1)])
    base = base_of(1)
    assert sink.taken == [
        ([b"11", b"12"], base + 11, base + 12, NOW),
        ([b"13"], base + 13, base + 13, NOW + 1),
    ]
    assert (progress.sequence, progress.position, progress.expired) == (13, base + 13, 0)


def test_messages_that_were_read_already_are_left_out() -> None:
    sink = RecordingSink()
    progress = begun(sink, 10)
    progress.take([messages(11, 14), messages(11, 12), messages(14, 14), messages(13, 16)])
    assert sink.positions == [base_of(1) + n for n in range(11, 17)]
    assert sink.taken[-1] == ([b"15", b"16"], base_of(1) + 15, base_of(1) + 16, NOW)
    assert progress.expired == 0


def test_each_missing_message_is_counted_once() -> None:
    sink = RecordingSink()
    progress = begun(sink)
    progress.take([messages(4, 5), messages(9, 9)])
    assert progress.expired == 3 + 3
    progress.take([messages(8, 10), messages(12, 12)])
    assert progress.expired == 3 + 3 + 1
    assert sink.positions == [base_of(1) + n for n in (4, 5, 9, 10, 12)]


def test_messages_of_other_subjects_are_read_and_not_missing() -> None:
    sink = RecordingSink()
    progress = begun(sink)
    progress.take([messages(1, 1), messages(2, 5, events=False), messages(6, 6)])
    progress.take([messages(4, 8, events=False)])
    assert progress.expired == 0
    assert progress.sequence == 8
    assert sink.positions == [base_of(1) + 1, base_of(1) + 6]
    assert sink.taken[1][:3] == ([], base_of(1) + 2, base_of(1) + 5)
    assert sink.taken[-1][2] == base_of(1) + 8


def test_the_clock_never_goes_back() -> None:
    sink = RecordingSink()
    progress = begun(sink)
    for number, time in enumerate((NOW, NOW + 5, NOW + 3, NOW - 100, NOW + 6), 1):
        progress.take([messages(number, number, time)])
    assert [now for *_, now in sink.taken] == [NOW, NOW + 5, NOW + 5, NOW + 5, NOW + 6]


# While nothing comes.


def test_at_its_end_the_clock_follows_the_server() -> None:
    sink = RecordingSink()
    progress = begun(sink, 5)
    progress.note_end(info(1, 5, NOW + 2.5))
    progress.note_end(info(1, 5, NOW + 3.05))  # a message may be stored meanwhile
    progress.note_end(info(1, 5, NOW + 3.15))
    progress.note_end(info(1, 5, NOW + 1))  # the clock of another server of the cluster
    assert sink.times == [NOW + 2, NOW + 2, NOW + 3, NOW + 3]
    progress.take([messages(6, 6, NOW)])
    assert sink.taken[-1][-1] == NOW + 3


def test_the_clock_waits_for_messages_that_are_not_read() -> None:
    sink = RecordingSink()
    progress = begun(sink, 5)
    progress.note_end(info(1, 6, NOW + 100))
    progress.note_end(info(1, 5, 0))  # a server that does not say its time
    assert sink.times == []


def test_messages_that_expire_while_nothing_comes_are_counted() -> None:
    sink = RecordingSink()
    progress = begun(sink, 5)
    progress.note_end(info(6, 9))
    assert (progress.expired, progress.sequence, sink.taken) == (0, 5, [])
    progress.note_end(info(8, 9))
    assert (progress.expired, progress.sequence) == (2, 7)
    assert sink.taken == [([], base_of(1) + 7, base_of(1) + 7, 0)]
    progress.note_end(info(8, 9))
    assert progress.expired == 2
    progress.take([messages(8, 9)])
    assert progress.expired == 2


def test_a_purge_of_messages_that_were_not_read() -> None:
    sink = RecordingSink()
    progress = begun(sink, 5)
    progress.note_end(info(10, 9, NOW))
    assert (progress.expired, progress.sequence) == (4, 9)
    assert sink.times == [NOW - 1]


def test_a_purge_of_what_was_read_takes_nothing() -> None:
    progress = begun(RecordingSink(), 9)
    progress.note_end(info(10, 9))
    progress.take([messages(10, 11)])
    assert (progress.expired, progress.sequence) == (0, 11)


def test_an_empty_new_stream_has_nothing_missing() -> None:
    sink = RecordingSink()
    progress = begun(sink)
    for empty in (info(0, 0), info(1, 0)):
        progress.note_end(empty)
    assert (progress.expired, sink.taken) == (0, [])


# Another stream, or less of it.


def test_a_stream_that_was_made_anew_is_read_from_its_beginning_at_higher_positions() -> None:
    sink = RecordingSink()
    progress = begun(sink)
    progress.take([messages(1, 9)])
    again = info(1, 20, created=1)
    assert not progress.fits(NAME, again)
    assert "made anew" in progress.resume(NAME, again)
    assert progress.sequence == 0
    progress.take([messages(1, 2)])
    assert sink.positions[-2:] == [base_of(2) + 1, base_of(2) + 2]
    assert progress.fits(NAME, again)
    assert progress.resume(NAME, again) == ""
    assert progress.expired == 0


def test_a_stream_whose_newest_messages_are_gone_goes_on_at_its_end() -> None:
    sink = RecordingSink()
    progress = begun(sink)
    progress.take([messages(1, 9)])
    shorter = info(1, 6)
    assert not progress.fits(NAME, shorter)
    assert "newest messages are gone" in progress.resume(NAME, shorter)
    progress.take([messages(7, 8)])
    assert sink.positions[-2:] == [base_of(2) + 7, base_of(2) + 8]
    assert progress.expired == 0


def test_nothing_has_happened_to_a_stream_that_goes_on() -> None:
    progress = begun(RecordingSink(), 5)
    for state in (info(1, 5), info(6, 5), info(3, 100), info(50, 100)):
        assert progress.fits(NAME, state)
        assert progress.resume(NAME, state) == ""
    assert progress.sequence == 5


def test_another_name_is_another_stream() -> None:
    progress = begun(RecordingSink(), 5)
    assert not progress.fits("OTHER", info(1, 5))


# A router after another.


def test_without_positions_nothing_is_begun() -> None:
    progress = StreamProgress(RecordingSink())
    assert progress.resume(NAME, info(1, 5)) == ""
    before = progress.is_begun
    progress.begin(NAME, info(1, 5), 5)
    assert (before, progress.is_begun) == (False, True)
    assert progress.position == base_of(1) + 5


def test_reading_goes_on_after_the_lowest_position() -> None:
    sink = RecordingSink(start=base_of(3) + 7, newest=base_of(3) + 12)
    progress = StreamProgress(sink)
    assert progress.resume(NAME, info(1, 20)) == ""
    assert progress.position == base_of(3) + 7
    progress.take([messages(8, 9)])
    assert sink.positions == [base_of(3) + 8, base_of(3) + 9]


def test_shards_in_an_earlier_stream_begin_with_the_present_one() -> None:
    """What they lack of the earlier one is nowhere."""
    sink = RecordingSink(start=base_of(2) + 700, newest=base_of(3) + 12)
    progress = StreamProgress(sink)
    assert progress.resume(NAME, info(1, 20)) == ""
    assert progress.position == base_of(3)


def test_a_stream_that_was_made_anew_while_nobody_read_it() -> None:
    sink = RecordingSink(start=base_of(3) + 7)
    progress = StreamProgress(sink)
    assert "made anew" in progress.resume(NAME, info(1, 20, created=1))
    assert progress.position == base_of(4)


def test_a_stream_that_has_lost_its_end_while_nobody_read_it() -> None:
    progress = StreamProgress(RecordingSink(start=base_of(3) + 7))
    assert "newest messages are gone" in progress.resume(NAME, info(1, 6))
    assert progress.position == base_of(4) + 6


def test_what_was_missing_for_the_router_before_is_not_missing_again() -> None:
    """It had found 11 to 15 missing, and had read 20; the shards have saved 10."""
    sink = RecordingSink(start=base_of(1) + 10, counted=base_of(1) + 20)
    progress = StreamProgress(sink)
    assert progress.resume(NAME, info(11, 30)) == ""
    progress.take([messages(16, 20), messages(24, 24)])
    assert progress.expired == 3
    progress.note_end(info(27, 30))
    assert progress.expired == 3 + 2


def test_what_is_missing_on_both_sides_of_what_was_counted() -> None:
    sink = RecordingSink(start=base_of(1) + 10, counted=base_of(1) + 20)
    progress = StreamProgress(sink)
    assert "up to 10 messages" in progress.resume(NAME, info(24, 30))
    progress.take([messages(24, 30)])
    assert progress.expired == 3


def test_what_was_counted_of_an_earlier_stream_does_not_matter() -> None:
    sink = RecordingSink(start=base_of(1) + 10, counted=base_of(1) + 20)
    progress = StreamProgress(sink)
    assert "made anew" in progress.resume(NAME, info(5, 30, created=1))
    progress.take([messages(5, 9)])
    assert progress.expired == 4


@given(
    st.integers(0, 20),
    st.lists(st.tuples(st.integers(-3, 4), st.integers(1, 5), st.integers(-2, 2)), max_size=20),
)
def test_every_message_is_read_once_or_missing(
    start: int, reads: list[tuple[int, int, int]]
) -> None:
    """`reads`: steps from the last sequence and time, and the number of messages."""
    sink = RecordingSink()
    progress = begun(sink, start)
    last, time, seen = start, NOW, set[int]()
    for step, number, seconds in reads:
        first = max(1, last + 1 + step)
        last, time = first + number - 1, time + seconds
        progress.take([messages(first, last, time)])
        seen |= set(range(first, last + 1))
    read = [sequence_of(position) for position in sink.positions]
    assert read == sorted(set(read))
    assert [int(event) for events, *_ in sink.taken for event in events] == read
    assert progress.expired == progress.sequence - start - len(read)
    assert set(read) <= seen
    assert [now for *_, now in sink.taken] == sorted(now for *_, now in sink.taken)
    for _, first, last_position, _ in sink.taken:
        assert first <= last_position


@pytest.mark.parametrize("life", [1, 5])
def test_positions_never_go_back_over_lives(life: int) -> None:
    sink = RecordingSink(start=base_of(life) + 7)
    progress = StreamProgress(sink)
    for day, state in enumerate([(1, 9), (1, 3), (1, 5), (1, 1)]):
        progress.resume(NAME, info(*state, created=day // 2))
        progress.take([messages(progress.sequence + 1, progress.sequence + 1)])
    assert sink.positions == sorted(set(sink.positions))
