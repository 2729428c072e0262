"""The queue to a worker over a real pipe: read, not read, broken, and replaced."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest
import uvloop

from shards.ipc.framing import read_batch
from shards.router.send_queue import BATCH_BYTES, SendQueue

DEADLINE = 5.0
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
        """The next batch; None at the end of the pipe."""
        if self._transport is None:
            self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(self._stream),
                os.fdopen(self._reader, "rb", 0),
            )
        return await read_batch(self._stream)

    async def rest(self) -> list[bytes]:
        """All events to the end of the pipe."""
        events: list[bytes] = []
        while (batch := await self.read()) is not None:
            events += batch
        return events

    def close(self) -> None:
        """What becomes of the reading end when the worker dies."""
        if self._transport is not None:
            self._transport.close()
        elif self._is_open:
            os.close(self._reader)
        self._is_open = False


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


def check(queue: SendQueue) -> None:
    """Everything sent is written, dropped, or waiting; at any moment."""
    assert queue.sent == queue.dropped + queue.queued + sum(queue.written.values())


async def until(queue: SendQueue, condition: Callable[[], bool]) -> None:
    while not condition():
        check(queue)
        await asyncio.sleep(0)


def test_events_come_out_in_order_and_what_came_meanwhile_together() -> None:
    async def story() -> None:
        queue, pipe = SendQueue(0), Pipe()
        queue.attach_pipe(1, pipe.writer)
        put(queue, b"a")
        queue.flush()  # nothing more to flush
        assert await pipe.read() == [b"a"]
        put(queue, b"b")
        put(queue, b"c")
        assert await pipe.read() == [b"b", b"c"]
        assert (counts(queue), queue.written) == ((3, 0, 0), {1: 3})
        await queue.close()
        assert await pipe.read() is None

    play(story)


def test_what_was_not_flushed_waits_unless_there_is_much_of_it() -> None:
    async def story() -> None:
        queue, pipe = SendQueue(0), Pipe()
        queue.attach_pipe(1, pipe.writer)
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
        queue, pipe = SendQueue(5), Pipe()
        assert put(queue, *numbered(0, 7)) == [True] * 5 + [False] * 2
        assert counts(queue) == (7, 2, 5)
        queue.attach_pipe(1, pipe.writer)
        assert await pipe.read() == numbered(0, 5)
        assert put(queue, b"more") == [True]
        await queue.close()
        assert await pipe.rest() == [b"more"]
        check(queue)

    play(story)


def test_an_unread_queue_fills_up_and_then_drops() -> None:
    async def story() -> None:
        queue, pipe = SendQueue(10), Pipe()
        queue.attach_pipe(1, pipe.writer)
        taken: list[bytes] = []
        made = 0
        while queue.dropped < 50:
            for event in numbered(made, made + 5, 10_000):
                made += 1
                if queue.put(event):
                    taken.append(event)
            queue.flush()
            await asyncio.sleep(0)
            check(queue)
        assert queue.queued == 10
        assert len(taken) == made - queue.dropped < 100
        closing = asyncio.create_task(queue.close())
        assert await pipe.rest() == taken
        await closing
        assert counts(queue) == (made, made - len(taken), 0)
        check(queue)

    play(story)


def test_without_a_limit_nothing_is_dropped() -> None:
    async def story() -> None:
        queue, pipe = SendQueue(0), Pipe()
        queue.attach_pipe(1, pipe.writer)
        assert all(put(queue, *numbered(0, 30_000)))
        closing = asyncio.create_task(queue.close())
        assert await pipe.rest() == numbered(0, 30_000)
        await closing

    play(story)


def test_after_a_death_it_goes_on_in_the_next_pipe_where_it_was() -> None:
    async def story() -> None:
        queue, first, second = SendQueue(0), Pipe(), Pipe()
        queue.attach_pipe(1, first.writer)
        events = numbered(0, 60, 10_000)
        for start in range(0, 60, 3):
            put(queue, *events[start : start + 3])
        await until(queue, lambda: queue.written[1] > 0)
        first.close()
        await until(queue, lambda: queue.written[1] > 0)
        check(queue)
        queue.attach_pipe(2, second.writer)
        closing = asyncio.create_task(queue.close())
        assert await second.rest() == events[queue.written[1] :]
        await closing
        assert queue.written[1] + queue.written[2] == 60
        check(queue)

    play(story)


def test_a_new_pipe_replaces_an_unread_one_at_once() -> None:
    """Both ends of the old one may live on for a moment: it is still not written to again."""

    async def story() -> None:
        queue, first, second = SendQueue(0), Pipe(), Pipe()
        queue.attach_pipe(1, first.writer)
        events = numbered(0, 60, 10_000)
        for start in range(0, 60, 3):
            put(queue, *events[start : start + 3])
        await until(queue, lambda: queue.written[1] > 0)
        for _ in range(5):
            await asyncio.sleep(0)
        queue.attach_pipe(2, second.writer)
        written = queue.written[1]
        closing = asyncio.create_task(queue.close())
        assert await second.rest() == events[written:]
        await closing
        assert queue.written == {1: written, 2: 60 - written}
        assert await first.rest() == events[:written]

    play(story)


def test_events_that_come_after_a_death_wait_for_the_next_pipe() -> None:
    """One batch may be on its way before the death is seen, no more."""

    async def story() -> None:
        queue, first, second = SendQueue(0), Pipe(), Pipe()
        queue.attach_pipe(1, first.writer)
        put(queue, b"before")
        assert await first.read() == [b"before"]
        first.close()
        for _ in range(10):
            await asyncio.sleep(0)
        for event in (b"a", b"b", b"c", b"d"):
            put(queue, event)
            await asyncio.sleep(0)
            check(queue)
        queue.attach_pipe(2, second.writer)
        assert queue.written[1] <= 2
        await queue.close()
        assert await second.rest() == [b"a", b"b", b"c", b"d"][queue.written[1] - 1 :]
        check(queue)

    play(story)


@pytest.mark.parametrize("waiting", [0, 3, 3000])
def test_closing_is_not_held_up_by_a_worker_that_is_gone(waiting: int) -> None:
    async def story() -> None:
        queue, pipe = SendQueue(0), Pipe()
        queue.attach_pipe(1, pipe.writer)
        pipe.close()
        put(queue, *numbered(0, waiting))
        await queue.close()
        check(queue)

    play(story)


def test_closing_without_any_pipe_leaves_all_in_the_queue() -> None:
    async def story() -> None:
        queue = SendQueue(0)
        put(queue, b"a", b"b")
        await queue.close()
        assert counts(queue) == (2, 0, 2)

    play(story)


def test_pipes_that_follow_one_another_at_once_are_all_closed() -> None:
    async def story() -> None:
        queue, pipes = SendQueue(0), [Pipe() for _ in range(5)]
        for link, pipe in enumerate(pipes):
            queue.attach_pipe(link, pipe.writer)
        put(queue, b"a")
        assert await pipes[-1].read() == [b"a"]
        for pipe in pipes[:-1]:
            assert await pipe.read() is None
        await queue.close()

    play(story)


def test_the_counts_of_old_pipes_do_not_grow_without_bound() -> None:
    async def story() -> None:
        queue = SendQueue(0)
        for number in range(200):
            queue.attach_pipe(number, Pipe().writer)
        assert 0 < len(queue.written) <= 64
        assert max(queue.written) == 199
        await queue.close()

    play(story)
