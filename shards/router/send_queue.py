"""The router's bounded queue of deliveries to one worker, written in batches to its data pipe.

Deliveries are numbered when they are written, and kept until a checkpoint of the worker holds their
effect. If the worker dies, the next one gets them again: the same batches at the same times.
"""

import asyncio
import os
import sys
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from loguru import logger

from shards.ipc.batch_delay import BatchDelay
from shards.ipc.framing import encode_frame
from shards.ipc.messages import Batch
from shards.ipc.pipes import open_writer
from shards.positions import base_of
from shards.router.kept_batches import KeptBatch, KeptBatches

BATCH_BYTES = 3 << 16
"""Size of a complete batch: less than a pipe holds, some milliseconds of a worker's time."""


class WaitingBatch(NamedTuple):
    """Events that are to be written together.

    With a stream, `positions`: where each is in it; `now`: the time of all of them. `begins`: the
    generation that begins with this batch, which has no events then; in a stream after the position
    `after`.
    """

    events: list[bytes]
    positions: "array[int] | None" = None
    now: int = 0
    begins: int = 0
    after: int = 0


class SendQueue:
    """Holds at most `max_queue` events (0: unbounded) until they are written to the data pipe.

    Backpressure ends here: a full queue refuses events. While the batches that are kept have
    `retain_bytes`, no more are written, and events wait in the queue; likewise without a working
    pipe.
    """

    def __init__(
        self, max_queue: int, retain_bytes: int, life: int, clock: Callable[[], int]
    ) -> None:
        """`retain_bytes`: 0 to keep nothing. `life`: see positions.py. `clock`: seconds."""
        self._max_queue = max_queue
        self._delay_limit = max_queue // 2
        """Number of queued events at which the next batch is written without delay."""
        self._position = self._accounted = base_of(life)
        """Positions: of the last event written, and up to which none is to be counted as lost."""
        self._clock = clock
        self._now = 0
        """In a stream, the time of the events that follow."""
        self._delay = BatchDelay()
        self._generation = 1
        """That of the last batch written."""
        self._kept = KeptBatches(retain_bytes)
        self._has_room = asyncio.Event()
        self._complete: deque[WaitingBatch] = deque()
        """Complete batches, oldest first."""
        self._batch = WaitingBatch([])
        self._batch_bytes = 0
        self._is_flushed = False
        """Whether all events of the current batch may be written."""
        self._work = asyncio.Event()
        self._large_enough = asyncio.Event()
        self._has_written = self._is_tick_due = False
        self._ticks_when_full = True
        self._closing = self._has_written_all = self._is_abandoned = self._is_closed = False
        self._attached = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self.sent = 0
        """Events put, the dropped ones included."""
        self.dropped = 0
        """Events refused because the queue was full."""
        self.queued = 0
        """Events that wait to be written."""
        self.redelivered = 0
        """Events written again."""
        self.lost = 0
        """Events that a worker that died had got, and that were not kept."""

    @property
    def has_pipe(self) -> bool:
        """Whether there is a data pipe that is not broken."""
        return self._writing is not None and not self._writing.done()

    @property
    def full(self) -> bool:
        """Whether the next event would be refused."""
        return bool(self._max_queue) and self.queued >= self._max_queue

    def put(self, raw: bytes, position: int = 0) -> bool:  # noqa: ARG002 - see StreamQueue
        """Add an event, to be written after the next flush; False if the queue is full."""
        self.sent += 1
        if self._max_queue and self.queued >= self._max_queue:
            self.dropped += 1
            return False
        self.queued += 1
        self._batch.events.append(raw)
        self._batch_bytes += len(raw)
        if self._batch_bytes >= BATCH_BYTES:
            self._complete_batch()
        if self.queued == self._delay_limit:
            self._large_enough.set()
        return True

    def flush(self) -> None:
        """Let the current batch be written as soon as the pipe is ready."""
        if self._batch.events:
            self._is_flushed = True
            self._work.set()

    def begin_generation(self, generation: int, after: int = 0) -> None:
        """Let the worker use this generation for all events that are put from now on.

        `after`: the position up to which a stream has been read.
        """
        if self._batch.events:
            self._complete_batch()
        if generation > 1:  # with which every worker begins
            self._complete.append(WaitingBatch([], None, self._now, generation, after))
            self._work.set()
            self._large_enough.set()

    def tick(self) -> None:
        """Let the worker know the time, if nothing was written since the last call."""
        if not self._has_written:
            self._is_tick_due = True
            self._work.set()
            self._has_room.set()
        self._has_written = False

    def _complete_batch(self) -> None:
        self._complete.append(self._batch)
        self._work.set()
        self._large_enough.set()
        self._batch = WaitingBatch([])
        self._batch_bytes = 0
        self._is_flushed = False

    def forget(self, position: int, generation: int = 1, held: int = 0) -> None:  # noqa: ARG002 - see StreamQueue
        """Keep no batches up to this position; `generation`, `held`: see Saved."""
        self._kept.forget(position, generation)
        if not self._kept.is_full:
            self._has_room.set()

    def attach_pipe(self, descriptor: int, after: int, generation: int = 1) -> None:
        """Write to a new data pipe from now on, at first all that is kept.

        Its worker has the effect of all deliveries up to the position `after`, where its generation
        was this one.
        """
        self.detach_pipe()
        self.forget(after, generation)
        self._account(after)
        self._attached.set()
        if self._is_closed:  # a task would be left when the process ends
            os.close(descriptor)
            return
        file = os.fdopen(descriptor, "wb", 0)
        self._writing = asyncio.create_task(self._write_batches(file))
        # A task that is cancelled before its first step closes nothing.
        self._writing.add_done_callback(lambda _: file.close())

    def _account(self, after: int) -> None:
        """Count as lost what is not kept, and a new worker lacks."""
        first = self._kept.first or self._position + 1
        self.lost += max(0, first - 1 - max(after, self._accounted))
        self._accounted = first - 1

    def detach_pipe(self, *, for_good: bool = False) -> None:
        """Write no more to the data pipe, if there is one: its worker is gone.

        `for_good`: it has no successor.
        """
        if self._writing is not None:
            self._writing.cancel()
        if for_good:
            self._is_abandoned = True
            self._attached.set()

    async def close(self) -> None:
        """Write all waiting events and close the pipe; returns when it is closed.

        If the worker is gone, waits for its successor, unless there is nothing that it lacks.
        """
        self._closing = True
        self._work.set()
        while not (self._has_written_all or self._is_abandoned) and (
            self.queued or self._kept or self.has_pipe
        ):
            self._attached.clear()
            attached = asyncio.create_task(self._attached.wait())
            writing = self._writing if self.has_pipe else None
            await asyncio.wait(
                [attached, writing] if writing else [attached],
                return_when=asyncio.FIRST_COMPLETED,
            )
            attached.cancel()
        self._is_closed = True

    async def _write_batches(self, file: BinaryIO) -> None:
        try:
            writer = await open_writer(os.dup(file.fileno()))
        except OSError as error:
            # Without its pipe the queue would never drain: a new router gets new pipes.
            logger.error(f"a data pipe cannot be opened: {error.strerror}")
            sys.exit(1)
        file.close()
        try:
            await self._write_kept(writer)
            while (waiting := await self._next_batch()) is not None:
                writer.write(self._encode(waiting))
                await writer.drain()
                await self._delay_small_batch()
            self._has_written_all = True
        except OSError:
            pass  # the worker is gone; the supervisor sees that too and sends a new pipe
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _write_kept(self, writer: asyncio.StreamWriter) -> None:
        for kept in self._kept:
            self.redelivered += kept.events
            writer.write(kept.frame)
            await writer.drain()

    def _encode(self, waiting: WaitingBatch) -> bytes:
        """The frame of a batch with its positions and the time, which is kept if it has events."""
        self._generation = waiting.begins or self._generation
        batch = self._number(waiting)
        frame = encode_frame(batch)
        self._is_tick_due = False
        self._has_written = True
        self.queued -= len(batch.events)
        self._position = batch.last
        if batch.events or waiting.begins:
            number = len(batch.events)
            self._kept.add(KeptBatch(batch.first, batch.last, number, frame, batch.generation))
        return frame

    def _number(self, waiting: WaitingBatch) -> Batch:
        """The batch as it is written, at the next positions."""
        return Batch(
            first=self._position + 1,
            last=self._position + len(waiting.events),
            now=self._clock(),
            asks=self._kept.is_half_full,
            events=waiting.events,
            generation=self._generation,
        )

    async def _delay_small_batch(self) -> None:
        """Give a small batch time to grow, since each batch wakes its worker up."""
        seconds = self._delay.seconds()
        if not seconds or self._complete or self._closing:
            return
        self._large_enough.clear()
        delay = asyncio.get_running_loop().call_later(seconds, self._large_enough.set)
        await self._large_enough.wait()
        delay.cancel()

    async def _next_batch(self) -> WaitingBatch | None:
        """Wait for the next batch, and for room to keep it; one without events if a tick is due.

        None after `close` when no events are left.
        """
        while self._kept.is_full:
            if self._is_tick_due and self._ticks_when_full:  # it takes no room
                return WaitingBatch([])
            self._has_room.clear()
            await self._has_room.wait()
        while not self._complete:
            if self._batch.events and (self._is_flushed or self._closing):
                self._complete_batch()
            elif self._closing:
                return None
            elif self._is_tick_due:
                return WaitingBatch([])
            else:
                self._work.clear()
                await self._work.wait()
        return self._complete.popleft()
