"""Frames over a pipe: whole, in pieces, cut, and the last ones of a dead process."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from engine.directive_counts import DirectiveCounts
from shards.histograms import Timings
from shards.ipc.framing import (
    LINES_BYTES,
    MAX_FRAME_BYTES,
    FrameError,
    decode_from_child,
    decode_to_child,
    encode_frame,
    encode_report,
    read_batch,
    read_report,
)
from shards.ipc.messages import (
    AlarmLines,
    AttachPipe,
    Batch,
    DetachPipe,
    FromChild,
    Ready,
    RouterReport,
    Saved,
    Stop,
    Synced,
    ToChild,
    WorkerDetails,
    WorkerReport,
)
from shards.ledger import Deliveries, Events, Feed, Ledger, LookupCounts, encode_ledger

T = TypeVar("T")

REPORT = WorkerReport(
    alarm_events=b'{"alarm_id":"a"}\n',
    alarms=b"",
    encoded_ledger=encode_ledger(
        Ledger(
            deliveries=Deliveries(consumed=9, unmatched=2, invalid=Counter(bad_type=1)),
            lookups={"intel_a": LookupCounts(asked=2, errors=Counter(timeout=1), waiting=1)},
            from_future=3,
            late=1,
        ),
    ),
    late=1,
    position=12,
    life=1,
    sync=3,
    saved=9,
    saved_sync=2,
    busy_seconds=0.25,
    active_directives=1,
    details=WorkerDetails(
        Timings(), {"High": 1}, {7: DirectiveCounts(5, 2, 2, {"High": 1})}, checkpoint_at=1.5
    ),
)
BATCHES = [
    Batch(7, 6, 1_800_000_000, False, []),
    Batch(1, 1, 0, True, [b"{}"]),
    Batch((3 << 48) + 1, (3 << 48) + 3, 2, False, [b"", b"\x00\xff", "é".encode()]),
    Batch(1, 3, 2, False, [b"x" * 70_000] * 3),
    Batch(1, 5000, 2, False, [b"%d" % number for number in range(5000)]),
]
LAST = [6, 1, (3 << 48) + 3, 3, 5000]
"""The positions of the last events of these batches."""


def batch_of(*events: bytes) -> Batch:
    return Batch(1, len(events), 2, False, list(events))


def reading(
    read: Callable[[asyncio.StreamReader], Awaitable[T]], *pieces: bytes, error: Exception | None
) -> list[T]:
    """All that is read from a pipe that holds these pieces and then ends, one way or the other."""

    async def run() -> list[T]:
        reader = asyncio.StreamReader(limit=1 << 16)
        for piece in pieces:
            reader.feed_data(piece)
        if error is None:
            reader.feed_eof()
        else:
            reader.set_exception(error)
        found = []
        while (message := await read(reader)) is not None:
            found.append(message)
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("batch", BATCHES, ids=range(len(BATCHES)))
def test_a_batch_comes_out_as_it_went_in(batch: Batch) -> None:
    frame = encode_frame(batch)
    assert reading(read_batch, frame, frame, error=None) == [batch, batch]


def test_a_report_comes_out_as_it_went_in() -> None:
    assert reading(read_report, encode_frame(REPORT), error=None) == [REPORT]


def test_frames_may_come_in_pieces_of_any_size() -> None:
    batches = [batch_of(b"one", b"two"), batch_of(b"three")]
    stream = b"".join(map(encode_frame, batches))
    for size in range(1, len(stream) + 1):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert reading(read_batch, *pieces, error=None) == batches


def test_a_frame_that_was_cut_is_the_end_and_no_part_of_it_is_taken() -> None:
    whole, cut = batch_of(b"whole"), encode_frame(batch_of(b"this", b"is", b"cut"))
    for length in range(len(cut)):
        assert reading(read_batch, encode_frame(whole), cut[:length], error=None) == [whole]
        assert reading(read_report, encode_frame(REPORT)[: length + 1], error=None) == []


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), BrokenPipeError(), OSError("got end of file during message")]
)
def test_a_broken_pipe_is_the_end_too(error: Exception) -> None:
    assert reading(read_batch, error=error) == []
    assert reading(read_report, error=error) == []


# Bounds.


def numbered_lines(number: int, length: int) -> bytes:
    return b"".join(b"%0*d\n" % (length - 1, line) for line in range(number))


@pytest.mark.parametrize("length", [100, 70_000, LINES_BYTES, LINES_BYTES + 1])
def test_a_large_report_is_several_frames_whole_lines_in_order_the_counts_last(length: int) -> None:
    events, alarms = (numbered_lines(3 * LINES_BYTES // length + 1, length), b"an alarm\n")
    frames = list(encode_report(replace(REPORT, alarm_events=events, alarms=alarms)))
    assert max(map(len, frames)) < max(length, LINES_BYTES) + 1000
    *lines, last = (one for one in reading(read_report, *frames, error=None) if one is not None)
    assert last == replace(REPORT, alarm_events=b"", alarms=b"")
    assert [type(one) for one in lines] == [AlarmLines] * len(lines)
    assert all((one.alarm_events + one.alarms).endswith(b"\n") for one in lines)
    assert b"".join(one.alarm_events for one in lines) == events
    assert lines[-1] == AlarmLines(b"", alarms)


def test_a_small_report_is_one_frame() -> None:
    assert list(encode_report(REPORT)) == [encode_frame(REPORT)]


@pytest.mark.parametrize("read", [read_batch, read_report])
def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(
    read: Callable[[asyncio.StreamReader], Awaitable[object]],
) -> None:
    length = (MAX_FRAME_BYTES + 1).to_bytes(4, "big")
    with pytest.raises(FrameError, match="268435457 bytes"):
        reading(read, length, error=None)


def test_a_frame_beyond_the_limit_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.ipc.framing.MAX_FRAME_BYTES", 100)
    with pytest.raises(FrameError, match="the limit is 100"):
        encode_frame(batch_of(b"x" * 100))


def test_a_frame_that_is_no_report_is_refused() -> None:
    with pytest.raises(FrameError, match="not a report"):
        reading(read_report, encode_frame(batch_of(b"a batch")), error=None)


def test_nothing_at_all_is_the_end() -> None:
    assert reading(read_batch, error=None) == []


# Control messages.

EVENTS = Events(received=9, routed=5, invalid=Counter(bad_json=4))
FROM_CHILD: list[FromChild] = [
    Ready(),
    Ready(("127.0.0.1", 8080)),
    RouterReport(
        Ledger(events=EVENTS, feed=Feed(1, 2.5, 3)), {0: 9}, {1: 1}, {0: 2}, connected=True
    ),
    Ready(position=(2 << 40) + 5),
]
TO_CHILD: list[ToChild] = [
    AttachPipe(3, 1, 2 << 40),
    DetachPipe(1),
    Saved(1, 2 << 40),
    Synced(3),
    Stop(1.5),
]


@pytest.mark.parametrize("message", FROM_CHILD)
def test_messages_of_a_child_arrive(message: FromChild) -> None:
    assert decode_from_child(msgspec.msgpack.encode(message)) == message


@pytest.mark.parametrize("message", TO_CHILD)
def test_messages_to_a_child_arrive(message: ToChild) -> None:
    assert decode_to_child(msgspec.msgpack.encode(message)) == message


@pytest.mark.parametrize(("batch", "last"), list(zip(BATCHES, LAST, strict=True)))
def test_the_last_position_of_a_batch_is_that_of_its_last_event(batch: Batch, last: int) -> None:
    """Without events, that of the event before: a shard is there already."""
    assert batch.last == last


def test_counts_can_be_added_to_after_they_were_sent() -> None:
    heard = decode_from_child(msgspec.msgpack.encode(FROM_CHILD[2]))
    assert isinstance(heard, RouterReport)
    assert heard.ledger.events.invalid["never heard of"] == 0
    assert heard.ledger.events.invalid.total() == 4
