"""The queue to a worker over a real pipe: read, not read, broken, replaced, and given again."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import ClassVar

import uvloop

from shards.ipc.framing import read_batch
from shards.ipc.messages import Batch
from shards.positions import base_of
from shards.router.send_queue import BATCH_BYTES, SendQueue

DEADLINE = 30.0
Story = Callable[[], Awaitable[None]]


def play(story: Story) -> None:
    """Run a story on the loop that the router uses, and close its pipes."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                await story()
        finally:
            while Pipe.made:
                Pipe.made.pop().close()
            await asyncio.sleep(0)

    uvloop.run(bounded())


class Pipe:
    """A pipe to a worker that reads when it is asked to."""

    made: ClassVar[list["Pipe"]] = []

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self._stream = asyncio.StreamReader()
        self._transport: asyncio.ReadTransport | None = None
        self._is_open = True
        self.made.append(self)

    async def read(self) -> list[bytes] | None:
        """The events of the next batch; None at the end of the pipe."""
        batch = await self.batch()
        return None if batch is None else batch.events

    async def batch(self) -> Batch | None:
        """The next batch; None at the end of the pipe."""
        if self._transport is None:
            self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(self._stream),
                os.fdopen(self._reader, "rb", 0),
            )
        return await read_batch(self._stream)

    async def rest(self) -> list[bytes]:
        """All events to the end of the pipe."""
        return [event for batch in await self.batches() for event in batch.events]

    async def batches(self) -> list[Batch]:
        """All batches to the end of the pipe."""
        found: list[Batch] = []
        while (batch := await self.batch()) is not None:
            found.append(batch)
        return found

    def close(self) -> None:
        """What becomes of the reading end when the worker dies."""
        if self._transport is not None:
            self._transport.close()
        elif self._is_open:
            os.close(self._reader)
        self._is_open = False


FIRST = base_of(1) + 1
"""The position of the first event of the first router."""
KEEP = 1 << 20


class Clock:
    """A clock that goes on by a second with each look at it."""

    def __init__(self) -> None:
        self.now = 1000

    def __call__(self) -> int:
        self.now += 1
        return self.now


def make_queue(max_queue: int = 0, retain_bytes: int = 0) -> SendQueue:
    return SendQueue(max_queue, retain_bytes, 1, Clock())


def put(queue: SendQueue, *events: bytes) -> list[bool]:
    """Put events on the queue and flush, as the router does for one request."""
    taken = [queue.put(event) for event in events]
    queue.flush()
    return taken


def numbered(start: int, stop: int, size: int = 1) -> list[bytes]:
    return [b"%d," % number + b"x" * size for number in range(start, stop)]


def counts(queue: SendQueue) -> tuple[int, int, int]:
    """Events sent, dropped and queued."""
    return queue.sent, queue.dropped, queue.queued


async def some_turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def read_events(pipe: Pipe, number: int) -> list[Batch]:
    """Batches with this number of events in all."""
    batches: list[Batch] = []
    while sum(len(batch.events) for batch in batches) < number:
        batch = await pipe.batch()
        assert batch is not None
        batches.append(batch)
    return batches


def test_events_come_out_in_order_and_what_came_meanwhile_together() -> None:
    async def story() -> None:
        queue, pipe = make_queue(), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        put(queue, b"a")
        queue.flush()  # nothing more to flush
        assert await pipe.read() == [b"a"]
        put(queue, b"b")
        put(queue, b"c")
        assert await pipe.read() == [b"b", b"c"]
        assert counts(queue) == (3, 0, 0)
        await queue.close()
        assert await pipe.read() is None

    play(story)


def test_what_was_not_flushed_waits_unless_there_is_much_of_it() -> None:
    async def story() -> None:
        queue, pipe = make_queue(), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        large = b"x" * (BATCH_BYTES // 2)
        for event in (b"a", large, large, b"b"):
            queue.put(event)
        assert await pipe.read() == [b"a", large, large]
        assert counts(queue) == (4, 0, 1)
        await queue.close()  # which flushes
        assert await pipe.rest() == [b"b"]

    play(story)


def test_events_wait_for_the_first_pipe() -> None:
    async def story() -> None:
        queue, pipe = make_queue(5), Pipe()
        assert put(queue, *numbered(0, 7)) == [True] * 5 + [False] * 2
        assert counts(queue) == (7, 2, 5)
        queue.attach_pipe(pipe.writer, 0)
        assert await pipe.read() == numbered(0, 5)
        assert put(queue, b"more") == [True]
        await queue.close()
        assert await pipe.rest() == [b"more"]

    play(story)


def test_an_unread_queue_fills_up_and_then_drops() -> None:
    async def story() -> None:
        queue, pipe = make_queue(10), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        taken: list[bytes] = []
        made = 0
        while queue.dropped < 50:
            for event in numbered(made, made + 5, 10_000):
                made += 1
                if queue.put(event):
                    taken.append(event)
            queue.flush()
            await asyncio.sleep(0)
        assert queue.queued == 10
        assert len(taken) == made - queue.dropped < 100
        closing = asyncio.create_task(queue.close())
        assert await pipe.rest() == taken
        await closing
        assert counts(queue) == (made, made - len(taken), 0)

    play(story)


def test_without_a_limit_nothing_is_dropped() -> None:
    async def story() -> None:
        queue, pipe = make_queue(), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        assert all(put(queue, *numbered(0, 30_000)))
        closing = asyncio.create_task(queue.close())
        assert await pipe.rest() == numbered(0, 30_000)
        await closing

    play(story)


def test_deliveries_are_numbered_without_gaps_and_carry_the_time() -> None:
    async def story() -> None:
        queue, pipe = make_queue(2), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        assert put(queue, b"a", b"b", b"dropped") == [True, True, False]
        first = await pipe.batch()
        put(queue, b"c")
        second = await pipe.batch()
        assert first == Batch(FIRST, FIRST + 1, 1001, False, [b"a", b"b"])
        assert second == Batch(FIRST + 2, FIRST + 2, 1002, False, [b"c"])
        assert (first.last, second.last) == (FIRST + 1, FIRST + 2)

    play(story)


def test_what_no_checkpoint_holds_is_given_again_as_it_was() -> None:
    async def story() -> None:
        queue, first, second = make_queue(0, KEEP), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        batches = []
        for event in (b"a", b"b", b"c"):
            put(queue, event)
            batches += await read_events(first, 1)
        queue.forget(FIRST)
        queue.detach_pipe()
        put(queue, b"d")
        queue.attach_pipe(second.writer, FIRST)
        again = await read_events(second, 3)
        assert again[:2] == batches[1:]
        assert again[2].events == [b"d"]
        assert again[2].first == FIRST + 3
        assert (queue.redelivered, queue.lost) == (2, 0)
        queue.detach_pipe()
        third = Pipe()
        queue.attach_pipe(third.writer, FIRST + 1)  # a later checkpoint than it had heard of
        assert await read_events(third, 2) == again[1:]
        assert (queue.redelivered, queue.lost) == (4, 0)

    play(story)


def test_what_was_written_and_not_read_is_given_again() -> None:
    async def story() -> None:
        queue, first, second = make_queue(0, KEEP), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        events = numbered(0, 60, 10_000)
        for start in range(0, 60, 3):
            put(queue, *events[start : start + 3])
            await some_turns()
        first.close()
        await some_turns()
        queue.attach_pipe(second.writer, 0)
        closing = asyncio.create_task(queue.close())
        assert await second.rest() == events
        await closing
        assert queue.lost == 0

    play(story)


def test_a_batch_is_given_again_in_the_middle_of_others_at_its_own_time() -> None:
    """The clock goes on; the batch keeps the time that it had."""

    async def story() -> None:
        queue, first, second = make_queue(0, KEEP), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        put(queue, b"a")
        (before,) = await read_events(first, 1)
        queue.tick()  # has written since the last call
        queue.tick()
        tick = await first.batch()
        assert tick == Batch(FIRST + 1, FIRST, 1002, False, [])
        assert tick.last == before.last
        queue.attach_pipe(second.writer, 0)
        put(queue, b"b")
        again, after = await read_events(second, 2)
        assert again == before
        assert after.now > tick.now

    play(story)


def test_a_worker_with_events_gets_no_ticks() -> None:
    async def story() -> None:
        queue, pipe = make_queue(), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        for event in (b"a", b"b"):
            put(queue, event)
            assert await pipe.read() == [event]
            queue.tick()
        await queue.close()
        assert await pipe.batches() == []

    play(story)


def test_what_is_kept_is_bounded_and_asks_for_a_checkpoint() -> None:
    async def story() -> None:
        queue, pipe = make_queue(1000, KEEP), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        events = numbered(0, 300, 10_000)  # three times as much
        for event in events:
            put(queue, event)
        size = 0
        batches: list[Batch] = []
        while size < KEEP:
            batch = await pipe.batch()
            assert batch is not None
            assert batch.asks == (size > KEEP // 2)
            batches.append(batch)
            size += sum(map(len, batch.events)) + 100
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                raise AssertionError(f"more than what is kept: {await pipe.batch()}")
        assert 0 < queue.queued < 300
        waiting = queue.queued
        assert put(queue, *numbered(300, 1300)).count(False) == waiting, "the queue is full"
        queue.forget(batches[-1].last)
        more = await pipe.batch()
        assert more is not None
        assert more.first == batches[-1].last + 1
        assert not more.asks

    play(story)


def test_without_checkpoints_what_a_dead_worker_had_not_done_is_lost_and_counted_once() -> None:
    async def story() -> None:
        queue, first, second, third = make_queue(), Pipe(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        put(queue, *numbered(0, 5))
        await read_events(first, 5)
        queue.detach_pipe()
        put(queue, b"waits")
        queue.attach_pipe(second.writer, FIRST + 2)  # the third was the last that it had done
        assert queue.lost == 2
        assert await second.read() == [b"waits"]
        queue.detach_pipe()
        queue.attach_pipe(third.writer, FIRST + 2)  # it has reported nothing
        assert (queue.lost, queue.redelivered) == (3, 0)

    play(story)


def test_a_checkpoint_that_is_gone_loses_what_was_forgotten() -> None:
    async def story() -> None:
        queue, first, second = make_queue(0, KEEP), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        for event in (b"a", b"b", b"c"):
            put(queue, event)
            await read_events(first, 1)
        queue.forget(FIRST + 1)
        queue.attach_pipe(second.writer, 0)
        assert (await read_events(second, 1))[0].events == [b"c"]
        assert (queue.lost, queue.redelivered) == (2, 1)

    play(story)


def test_a_new_router_begins_above_and_loses_nothing_of_the_one_before() -> None:
    async def story() -> None:
        queue, pipe = SendQueue(0, KEEP, 2, Clock()), Pipe()
        queue.attach_pipe(pipe.writer, FIRST + 1000)
        put(queue, b"a")
        assert (await read_events(pipe, 1))[0].first == base_of(2) + 1
        assert queue.lost == 0
        queue.forget(FIRST + 1000)
        assert queue.lost == 0

    play(story)


def test_events_that_come_after_a_death_wait_for_the_next_pipe() -> None:
    async def story() -> None:
        queue, first, second = make_queue(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        put(queue, b"before")
        assert await first.read() == [b"before"]
        queue.detach_pipe()
        await some_turns()
        assert not queue.has_pipe
        for event in (b"a", b"b", b"c", b"d"):
            put(queue, event)
            await asyncio.sleep(0)
        queue.attach_pipe(second.writer, FIRST)
        await queue.close()
        assert await second.rest() == [b"a", b"b", b"c", b"d"]
        assert queue.lost == 0

    play(story)


def test_closing_waits_for_the_successor_of_a_worker_that_is_gone() -> None:
    async def story() -> None:
        queue, first, second = make_queue(0, KEEP), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        put(queue, b"a")
        await read_events(first, 1)
        queue.detach_pipe()
        put(queue, b"b")
        closing = asyncio.create_task(queue.close())
        await some_turns()
        assert not closing.done()
        queue.attach_pipe(second.writer, 0)
        assert await second.rest() == [b"a", b"b"]
        await closing

    play(story)


def test_closing_does_not_wait_for_a_worker_without_a_successor() -> None:
    async def story() -> None:
        queue, pipe = make_queue(0, KEEP), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        put(queue, b"a")
        closing = asyncio.create_task(queue.close())
        queue.detach_pipe()
        await some_turns()
        assert not closing.done()
        queue.detach_pipe(for_good=True)
        await closing

    play(story)


def test_closing_without_anything_to_write_needs_no_pipe() -> None:
    async def story() -> None:
        await make_queue(0, KEEP).close()

    play(story)


def test_a_pipe_that_comes_after_closing_is_closed_at_once() -> None:
    """Its task would else be left when the router ends because its port is taken."""

    async def story() -> None:
        queue, pipe = make_queue(0, KEEP), Pipe()
        await queue.close()
        queue.attach_pipe(pipe.writer, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await pipe.read() is None

    play(story)


def test_pipes_that_follow_one_another_at_once_are_all_closed() -> None:
    async def story() -> None:
        queue, pipes = make_queue(), [Pipe() for _ in range(5)]
        for pipe in pipes:
            queue.attach_pipe(pipe.writer, 0)
        put(queue, b"a")
        assert await pipes[-1].read() == [b"a"]
        for pipe in pipes[:-1]:
            assert await pipe.read() is None
        await queue.close()

    play(story)


# Generations of the configuration.


def events_by_generation(batches: list[Batch]) -> list[tuple[int, list[bytes]]]:
    return [(batch.generation, batch.events) for batch in batches]


async def closed(queue: SendQueue, pipe: Pipe) -> list[Batch]:
    """All batches that are written until the queue is closed."""
    closing = asyncio.create_task(queue.close())
    batches = await pipe.batches()
    await closing
    return batches


def test_a_generation_begins_with_a_batch_of_its_own_between_the_events() -> None:
    async def story() -> None:
        queue, pipe = make_queue(), Pipe()
        queue.put(b"a")
        queue.put(b"b")
        queue.begin_generation(2)
        queue.put(b"c")
        queue.begin_generation(3)
        queue.begin_generation(4)
        put(queue, b"d")
        assert counts(queue) == (4, 0, 4)
        queue.attach_pipe(pipe.writer, 0)
        batches = await closed(queue, pipe)
        assert events_by_generation(batches) == [
            (1, [b"a", b"b"]),
            (2, []),
            (2, [b"c"]),
            (3, []),
            (4, []),
            (4, [b"d"]),
        ]
        assert [(batch.first - FIRST, batch.last - FIRST) for batch in batches] == [
            *((0, 1), (2, 1), (2, 2), (3, 2), (3, 2), (3, 3))
        ]
        assert [batch.now for batch in batches] == sorted(batch.now for batch in batches)
        assert (counts(queue), queue.lost) == ((4, 0, 0), 0)

    play(story)


def test_a_generation_begins_without_events_and_without_a_flush() -> None:
    async def story() -> None:
        queue, pipe = make_queue(), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        queue.begin_generation(1)  # with which every worker begins
        await some_turns()
        queue.begin_generation(2)
        assert await pipe.batch() == Batch(FIRST, FIRST - 1, 1001, False, [], generation=2)
        queue.tick()  # has written since the last call
        queue.tick()
        tick = await pipe.batch()
        assert tick is not None
        assert tick.generation == 2

    play(story)


def test_what_was_not_flushed_is_written_when_a_generation_begins() -> None:
    async def story() -> None:
        queue, pipe = make_queue(), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        queue.put(b"a")
        await some_turns()
        queue.begin_generation(2)
        assert await pipe.read() == [b"a"]

    play(story)


def test_the_beginning_is_given_again_unless_a_checkpoint_is_of_its_generation() -> None:
    async def story() -> None:
        queue, pipes = make_queue(0, KEEP), [Pipe() for _ in range(4)]
        queue.attach_pipe(pipes[0].writer, 0)
        put(queue, b"a")
        queue.begin_generation(2)
        put(queue, b"b")
        written = await read_events(pipes[0], 2)
        assert events_by_generation(written) == [(1, [b"a"]), (2, []), (2, [b"b"])]
        queue.detach_pipe()
        queue.forget(FIRST, 1)
        queue.attach_pipe(pipes[1].writer, FIRST, 1)
        assert await read_events(pipes[1], 1) == written[1:]
        queue.detach_pipe()
        queue.attach_pipe(pipes[2].writer, FIRST, 2)  # the checkpoint was of it
        assert await read_events(pipes[2], 1) == written[2:]
        queue.detach_pipe()
        queue.attach_pipe(pipes[3].writer, FIRST + 1, 2)
        put(queue, b"c")
        (last,) = await read_events(pipes[3], 1)
        assert (last.generation, last.events) == (2, [b"c"])
        assert (queue.lost, queue.redelivered) == (0, 2)

    play(story)


def test_one_of_several_beginnings_is_forgotten_with_its_generation() -> None:
    async def story() -> None:
        queue, first, second = make_queue(0, KEEP), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        queue.begin_generation(2)
        queue.begin_generation(3)
        assert [(await first.batch()) is not None for _ in range(2)] == [True, True]
        queue.attach_pipe(second.writer, FIRST - 1, 2)
        found = await second.batch()
        assert found is not None
        assert (found.generation, found.events, queue.lost) == (3, [], 0)

    play(story)


def test_without_checkpoints_a_worker_that_missed_the_beginning_gets_it_with_what_follows() -> None:
    async def story() -> None:
        queue, first, second = make_queue(), Pipe(), Pipe()
        queue.attach_pipe(first.writer, 0)
        put(queue, b"a")
        queue.begin_generation(2)
        assert events_by_generation([*await read_events(first, 1)]) == [(1, [b"a"])]
        assert (await first.batch()) is not None
        queue.detach_pipe()
        put(queue, b"b")
        queue.attach_pipe(second.writer, 0)
        assert events_by_generation(await read_events(second, 1)) == [(2, [b"b"])]
        assert queue.lost == 1

    play(story)


def test_a_full_queue_takes_a_beginning_and_ticks_go_on_in_the_old_generation() -> None:
    """Ticks overtake what waits for room; the events that wait are still of the old one."""

    async def story() -> None:
        queue, pipe = make_queue(2, 1), Pipe()
        queue.attach_pipe(pipe.writer, 0)
        put(queue, b"a")
        (before,) = await read_events(pipe, 1)
        put(queue, b"b")
        queue.begin_generation(2)
        assert put(queue, b"c", b"refused") == [True, False]
        queue.tick()  # has written since the last call
        queue.tick()
        tick = await pipe.batch()
        assert tick is not None
        assert (tick.generation, tick.events, tick.last) == (1, [], before.last)
        found: list[Batch] = []
        for position, generation in ((FIRST, 1), (FIRST + 1, 1), (FIRST + 1, 2)):
            queue.forget(position, generation)
            batch = await pipe.batch()
            assert batch is not None
            found.append(batch)
        assert events_by_generation(found) == [(1, [b"b"]), (2, []), (2, [b"c"])]
        assert counts(queue) == (4, 1, 0)

    play(story)


def test_a_new_router_begins_with_the_generation_that_runs() -> None:
    async def story() -> None:
        queue, pipe = SendQueue(0, KEEP, 2, Clock()), Pipe()
        queue.begin_generation(5)
        put(queue, b"a")
        queue.attach_pipe(pipe.writer, FIRST + 7, 4)
        begin, events = await read_events(pipe, 1)
        assert (begin.generation, begin.last) == (5, base_of(2))
        assert (events.generation, events.first) == (5, base_of(2) + 1)
        assert queue.lost == 0

    play(story)
