"""The queue of a worker that reads a stream: nothing is dropped, positions and times come along."""

import asyncio
from array import array

import msgspec

from shards.ipc.messages import POSITION_CODE, Batch
from shards.positions import base_of
from shards.router.send_queue import BATCH_BYTES
from shards.router.stream_queue import StreamQueue
from tests.shards.router.test_send_queue import KEEP, Pipe, play, read_events, some_turns

START = base_of(1) + 100
NOW = 1_800_000_000
STREAM = "EVENTS@2026"


class Queue(StreamQueue):
    """One that notes when the stream is to be read again, and that has begun."""

    def __init__(
        self,
        start: int = START,
        max_queue: int = 0,
        retain_bytes: int = KEEP,
        *,
        begun: bool = True,
    ) -> None:
        super().__init__(max_queue, retain_bytes, start, self._note)
        self.again = 0
        if begun:
            self.begin(start, NOW, STREAM)

    def _note(self) -> None:
        self.again += 1

    def add(self, *positions: int, now: int = NOW) -> list[bool]:
        """Put an event at each of these positions after START, and flush."""
        self.set_time(now)
        taken = [self.put(b"%d" % position, START + position) for position in positions]
        self.reach(START + positions[-1])
        self.flush()
        return taken


def batch(*positions: int, now: int = NOW, stream: str = STREAM) -> Batch:
    """The batch with the events that `add` puts there."""
    at = [START + position for position in positions]
    events = [b"%d" % position for position in positions]
    return Batch(at[0], at[-1], now, False, events, array(POSITION_CODE, at).tobytes(), stream)


async def next_batch(pipe: Pipe) -> Batch:
    """The next one that has events."""
    (found,) = await read_events(pipe, 1)
    return found


async def first_batch(pipe: Pipe) -> Batch:
    """The next one, with events or without."""
    found = await pipe.batch()
    assert found is not None
    return found


def test_events_carry_their_positions_and_the_time_of_the_stream() -> None:
    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.attach_pipe(pipe.writer, START)
        assert await first_batch(pipe) == Batch(START + 1, START, NOW, False, [], stream=STREAM)
        assert queue.add(1, 5, 6) == [True] * 3
        assert await next_batch(pipe) == batch(1, 5, 6)
        queue.add(9, now=NOW + 3)
        assert await next_batch(pipe) == batch(9, now=NOW + 3)
        assert (queue.sent, queue.dropped, queue.queued) == (4, 0, 0)

    play(story)


def test_a_batch_is_of_one_second() -> None:
    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.add(1, 2)
        queue.add(3, now=NOW + 1)
        queue.add(4, now=NOW + 1)
        queue.add(5, now=NOW + 2)
        queue.attach_pipe(pipe.writer, START)
        closing = asyncio.create_task(queue.close())
        found = await pipe.batches()
        await closing
        assert found == [
            batch(1, 2),
            batch(3, 4, now=NOW + 1),
            batch(5, now=NOW + 2),
        ]

    play(story)


def test_large_events_make_small_batches() -> None:
    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        for position in (1, 2, 3):
            queue.put(b"x" * (BATCH_BYTES // 2), START + position)
        queue.attach_pipe(pipe.writer, START)
        closing = asyncio.create_task(queue.close())
        found = await pipe.batches()
        await closing
        assert [(each.first - START, each.last - START) for each in found] == [(1, 2), (3, 3)]

    play(story)


def test_what_the_worker_has_is_not_taken() -> None:
    queue = Queue()
    assert queue.add(-5, 0, 1) == [False, False, True]
    assert (queue.sent, queue.queued) == (1, 1)


def test_nothing_is_dropped_and_the_source_waits() -> None:
    queue = Queue(max_queue=10)
    queue.add(*range(1, 10))
    had_room = queue.has_room
    queue.add(10)
    assert (had_room, queue.has_room) == (True, False)
    assert all(queue.add(*range(11, 1000)))
    assert (queue.queued, queue.dropped) == (999, 0)


def test_without_a_limit_there_is_one_for_the_source() -> None:
    """A stream may be longer than any memory."""
    queue = Queue(max_queue=0)
    queue.add(*range(1, 25_000))
    had_room = queue.has_room
    queue.add(25_000)
    assert (had_room, queue.has_room) == (True, False)


# Its beginning.


def test_before_the_stream_is_known_nothing_is_written() -> None:
    async def story() -> None:
        queue, pipe = Queue(0, begun=False), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        for _ in range(3):
            queue.tick()
            await some_turns()
        await queue.close()
        assert await pipe.batches() == []

    play(story)


def test_a_worker_without_a_position_is_asked_until_it_has_saved_one() -> None:
    async def story() -> None:
        queue, first, second = Queue(0, begun=False), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        queue.begin(START, NOW, STREAM)
        assert queue.start == START
        start = Batch(START + 1, START, NOW, True, [], stream=STREAM)
        assert await first_batch(first) == start
        assert not queue.has_saved_start
        queue.attach_pipe(second.writer, 0)  # the first has died before it saved
        queue.tick()
        queue.tick()
        assert await first_batch(second) == start
        assert queue.again == 0
        queue.forget(START)
        queue.tick()
        queue.tick()
        assert (await first_batch(second)).asks is False

    play(story)


def test_a_worker_with_a_position_keeps_it() -> None:
    queue = Queue(START, begun=False)
    queue.begin(START - 50, NOW, STREAM)
    assert queue.start == START
    assert queue.has_saved_start
    assert queue.add(-1, 1) == [False, True]


# Time.


def test_ticks_say_how_far_the_stream_is_read() -> None:
    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.attach_pipe(pipe.writer, START)
        await first_batch(pipe)
        queue.reach(START + 70)  # events of other workers
        queue.set_time(NOW + 4)
        queue.tick()
        queue.tick()
        expected = Batch(START + 71, START + 70, NOW + 4, False, [], stream=STREAM)
        assert await first_batch(pipe) == expected
        queue.add(80)
        assert await next_batch(pipe) == batch(80, now=NOW)

    play(story)


def test_no_tick_overtakes_events() -> None:
    """While no more is kept, time stands still for the worker too."""

    async def story() -> None:
        queue, pipe = Queue(retain_bytes=1), Pipe()
        queue.attach_pipe(pipe.writer, START)
        await first_batch(pipe)
        queue.add(1)
        assert await next_batch(pipe) == batch(1)
        queue.add(2)
        queue.set_time(NOW + 9)
        for _ in range(3):
            queue.tick()
            await some_turns()
        queue.forget(START + 1)
        assert (await first_batch(pipe)).events == [b"2"]

    play(story)


# Deaths.


def test_what_no_checkpoint_holds_is_given_again_as_it_was() -> None:
    async def story() -> None:
        queue, first, second = Queue(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, START)
        for position in (3, 7, 8):
            queue.add(position, now=NOW + position)
            await next_batch(first)
        queue.forget(START + 3)
        queue.detach_pipe()
        queue.add(9, now=NOW + 9)
        queue.attach_pipe(second.writer, START + 3)
        found = await read_events(second, 3)
        assert found == [batch(n, now=NOW + n) for n in (7, 8, 9)]
        assert (queue.redelivered, queue.lost, queue.sent, queue.again) == (2, 0, 4, 0)

    play(story)


def test_a_checkpoint_between_the_positions_of_a_batch_forgets_nothing_of_it() -> None:
    async def story() -> None:
        queue, first, second = Queue(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, START)
        queue.add(3, 7)
        await next_batch(first)
        queue.forget(START + 5)
        queue.attach_pipe(second.writer, START + 5)
        assert await next_batch(second) == batch(3, 7)
        assert queue.again == 0

    play(story)


def test_a_worker_that_lacks_what_was_forgotten_lets_the_stream_be_read_again() -> None:
    async def story() -> None:
        queue, first, second = Queue(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, START)
        queue.add(3)
        await next_batch(first)
        queue.forget(START + 3)
        queue.attach_pipe(second.writer, START + 2)
        assert queue.again == 1
        assert queue.lost == 0

    play(story)


def test_a_worker_that_lacks_what_is_before_the_start_lets_the_stream_be_read_again() -> None:
    """Also if nothing has been sent yet: nobody would give that to it later."""

    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.attach_pipe(pipe.writer, START - 1)
        assert queue.again == 1

    play(story)


# Another stream.

ANEW = base_of(2)


def test_a_stream_that_was_made_anew_is_named_with_its_own_positions_only() -> None:
    """A worker that saved its name with a position of the old one would skip events."""

    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.add(1)
        queue.begin(ANEW, NOW + 5, "EVENTS@2027")
        queue.set_time(NOW + 5)
        queue.put(b"new", ANEW + 1)
        queue.reach(ANEW + 1)
        queue.flush()
        queue.attach_pipe(pipe.writer, START)
        old, new = await read_events(pipe, 2)
        assert old == batch(1, stream="")
        assert (new.first, new.last, new.stream) == (ANEW + 1, ANEW + 1, "EVENTS@2027")

    play(story)


def test_a_stream_that_was_made_anew_and_is_empty_is_named_with_its_beginning() -> None:
    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.attach_pipe(pipe.writer, START)
        queue.add(1)
        await next_batch(pipe)
        queue.begin(ANEW, NOW + 5, "EVENTS@2027")
        found = await first_batch(pipe)
        assert found == Batch(ANEW + 1, ANEW, NOW + 5, True, [], stream="EVENTS@2027")

    play(story)


# Generations of the configuration.


async def all_batches(queue: Queue, pipe: Pipe) -> list[Batch]:
    closing = asyncio.create_task(queue.close())
    found = await pipe.batches()
    await closing
    return found


def begin(generation: int, after: int, now: int = NOW) -> Batch:
    at = START + after
    return Batch(at + 1, at, now, False, [], stream=STREAM, generation=generation)


def test_a_generation_begins_after_a_position_at_the_time_of_the_stream() -> None:
    """Also if no event of the worker is there, and later ones are waiting already."""

    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.attach_pipe(pipe.writer, START)
        await first_batch(pipe)
        queue.add(1, 2)
        queue.set_time(NOW + 3)
        queue.reach(START + 8)
        queue.begin_generation(2, START + 8)
        queue.add(9, 10, now=NOW + 5)
        queue.begin_generation(3, START + 10)
        found = await all_batches(queue, pipe)
        assert found == [
            batch(1, 2),
            begin(2, 8, NOW + 3),
            msgspec.structs.replace(batch(9, 10, now=NOW + 5), generation=2),
            begin(3, 10, NOW + 5),
        ]
        assert (queue.sent, queue.queued, queue.lost) == (4, 0, 0)

    play(story)


def test_a_generation_that_begins_before_the_time_is_known_lets_it_be() -> None:
    async def story() -> None:
        queue, pipe = Queue(begun=False), Pipe()
        queue.begin_generation(2, START - 5)  # an old router has read less than the worker has
        queue.attach_pipe(pipe.writer, START)
        found = await first_batch(pipe)
        assert (found.last, found.now, found.stream, found.generation) == (START, 0, "", 2)

    play(story)


def test_ticks_after_a_beginning_are_of_its_generation() -> None:
    async def story() -> None:
        queue, pipe = Queue(), Pipe()
        queue.attach_pipe(pipe.writer, START)
        await first_batch(pipe)
        queue.reach(START + 4)
        queue.begin_generation(2, START + 4)
        queue.set_time(NOW + 1)
        queue.tick()
        assert await first_batch(pipe) == begin(2, 4)
        queue.tick()
        queue.tick()
        assert await first_batch(pipe) == begin(2, 4, NOW + 1)  # as a tick is

    play(story)


def test_a_beginning_is_given_again_in_its_place_until_a_checkpoint_is_of_it() -> None:
    async def story() -> None:
        queue, first, second, third = Queue(), Pipe(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, START)
        queue.add(1)
        queue.begin_generation(2, START + 1)
        queue.add(5, now=NOW + 1)
        found = await read_events(first, 2)
        written = [one for one in found if one.events or one.generation > 1]
        assert written[1] == begin(2, 1)
        queue.forget(START + 1, 1)
        queue.attach_pipe(second.writer, START + 1, 1)
        assert await read_events(second, 1) == written[1:]
        queue.forget(START + 1, 2)
        queue.attach_pipe(third.writer, START + 1, 2)
        assert await read_events(third, 1) == written[2:]
        assert (queue.again, queue.lost) == (0, 0)

    play(story)


def test_a_worker_from_before_a_forgotten_beginning_lets_the_stream_be_read_again() -> None:
    async def story() -> None:
        queue, first, second = Queue(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, START)
        queue.reach(START + 7)
        queue.begin_generation(2, START + 7)
        while (await first_batch(first)).generation < 2:
            pass
        queue.forget(START + 7, 2)
        queue.attach_pipe(second.writer, START + 3, 1)
        assert queue.again == 1

    play(story)


def test_no_tick_overtakes_a_beginning_that_waits_for_room() -> None:
    async def story() -> None:
        queue, pipe = Queue(retain_bytes=1), Pipe()
        queue.attach_pipe(pipe.writer, START)
        await first_batch(pipe)
        queue.add(1)
        await next_batch(pipe)
        queue.begin_generation(2, START + 1)
        queue.set_time(NOW + 9)
        for _ in range(3):
            queue.tick()
            await some_turns()
        queue.forget(START + 1, 1)
        assert await first_batch(pipe) == msgspec.structs.replace(begin(2, 1), asks=False)

    play(story)
