"""The router's bounded queue of events for one worker, written in batches to its data pipe."""

import asyncio
import os
import sys
from collections import deque
from contextlib import suppress
from typing import BinaryIO

from loguru import logger

from shards.ipc.framing import encode_frame
from shards.ipc.pipes import BATCH_DELAY_SECONDS, open_writer

BATCH_BYTES = 3 << 16
"""Size of a complete batch: less than a pipe holds, some milliseconds of a worker's time."""
MAX_COUNTED_PIPES = 16
"""Data pipes whose written events are reported; a worker has fewer between two reports."""


class SendQueue:
    """Holds at most `max_queue` events (0: unbounded) until they are written to the data pipe.

    Backpressure ends here: a full queue refuses events. Events count as written once they are
    handed to a pipe; the supervisor compares that with what the worker has processed. Without a
    working pipe events wait.
    """

    def __init__(self, max_queue: int) -> None:
        self._max_queue = max_queue
        self._delay_limit = max_queue // 2
        """Number of queued events at which the next batch is written without delay."""
        self._complete: deque[list[bytes]] = deque()
        """Complete batches, oldest first."""
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._flushed = asyncio.Event()
        self._large_enough = asyncio.Event()
        self._closing = False
        self._writing: asyncio.Task[None] | None = None
        self.sent = 0
        """Events put, the dropped ones included."""
        self.dropped = 0
        """Events refused because the queue was full."""
        self.queued = 0
        """Events that wait to be written."""
        self.written: dict[int, int] = {}
        """Events written, by data pipe; of the latest MAX_COUNTED_PIPES."""

    @property
    def has_pipe(self) -> bool:
        """Whether there is a data pipe that is not broken."""
        return self._writing is not None and not self._writing.done()

    @property
    def full(self) -> bool:
        """Whether the next event would be refused."""
        return bool(self._max_queue) and self.queued >= self._max_queue

    def put(self, raw: bytes) -> bool:
        """Add an event, to be written after the next flush; False if the queue is full."""
        self.sent += 1
        if self.full:
            self.dropped += 1
            return False
        self.queued += 1
        self._batch.append(raw)
        self._batch_bytes += len(raw)
        if self._batch_bytes >= BATCH_BYTES:
            self._complete_batch()
        if self.queued == self._delay_limit:
            self._large_enough.set()
        return True

    def flush(self) -> None:
        """Let the current batch be written as soon as the pipe is ready."""
        if self._batch:
            self._flushed.set()

    def _complete_batch(self) -> None:
        self._complete.append(self._batch)
        self._flushed.set()
        self._large_enough.set()
        self._batch = []
        self._batch_bytes = 0

    def attach_pipe(self, pipe: int, descriptor: int) -> None:
        """Write to a new data pipe from now on; the supervisor accounts for the previous one."""
        if self._writing is not None:
            self._writing.cancel()
        self.written[pipe] = 0
        if len(self.written) > MAX_COUNTED_PIPES:
            del self.written[min(self.written)]
        file = os.fdopen(descriptor, "wb", 0)
        self._writing = asyncio.create_task(self._write_batches(pipe, file))
        # A task that is cancelled before its first step closes nothing.
        self._writing.add_done_callback(lambda _: file.close())

    async def close(self) -> None:
        """Write all waiting events and close the pipe; returns when it is closed, or broken."""
        self._closing = True
        self._flushed.set()
        if self._writing is not None:
            await self._writing

    async def _write_batches(self, pipe: int, file: BinaryIO) -> None:
        try:
            writer = await open_writer(os.dup(file.fileno()))
        except OSError as error:
            # Without its pipe the queue would never drain: a new router gets new pipes.
            logger.error(f"a data pipe cannot be opened: {error.strerror}")
            sys.exit(1)
        file.close()
        try:
            while batch := await self._next_batch():
                self.queued -= len(batch)
                self.written[pipe] += len(batch)
                writer.write(encode_frame(batch))
                await writer.drain()
                await self._delay_small_batch()
        except OSError:
            pass  # the worker is gone; the supervisor sees that too and sends a new pipe
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _delay_small_batch(self) -> None:
        """Give a small batch time to grow, since each batch wakes its worker up."""
        if self._complete or self._closing:
            return
        self._large_enough.clear()
        delay = asyncio.get_running_loop().call_later(BATCH_DELAY_SECONDS, self._large_enough.set)
        await self._large_enough.wait()
        delay.cancel()

    async def _next_batch(self) -> list[bytes] | None:
        """Wait for the next batch; None after `close` when no events are left."""
        while not self._complete:
            if self._batch:
                self._complete_batch()
            elif self._closing:
                return None
            else:
                self._flushed.clear()
                await self._flushed.wait()
        return self._complete.popleft()
