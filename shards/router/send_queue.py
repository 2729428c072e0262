"""The router's queue to one worker: batches into a pipe that may be full, broken, or replaced."""

import asyncio
import os
from collections import deque
from contextlib import suppress
from typing import BinaryIO

from shards.ipc.framing import encode_frame
from shards.ipc.messages import QueueCounts
from shards.ipc.pipes import BATCH_DELAY_SECONDS, open_writer

BATCH_BYTES = 3 << 16
"""A batch is closed at this size: less than a pipe holds, some milliseconds of a worker's time."""


class SendQueue:
    """Takes events for one worker; at most `max_queue` of them (0: any number) wait to be written.

    Events count as written once they are handed to the pipe of a link; the supervisor compares
    that with what the worker has done. While there is no good pipe, events wait.
    """

    def __init__(self, max_queue: int) -> None:
        self._max_queue = max_queue
        self._enough = max_queue // 2
        """So many, and the next batch need not grow: the queue must not get full meanwhile."""
        self._waiting: deque[list[bytes]] = deque()
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._filled = asyncio.Event()
        self._gathered = asyncio.Event()
        self._closing = False
        self._writing: asyncio.Task[None] | None = None
        self._sent = 0
        self._dropped = 0
        self._queued = 0
        self.written: dict[int, int] = {}
        """Events by link."""

    @property
    def queue(self) -> QueueCounts:
        """The counts."""
        return QueueCounts(self._sent, self._dropped, self._queued)

    def offer(self, raw: bytes) -> bool:
        """Take an event, to be written at the next flush; False when the queue is full."""
        self._sent += 1
        if self._max_queue and self._queued >= self._max_queue:
            self._dropped += 1
            return False
        self._queued += 1
        self._batch.append(raw)
        self._batch_bytes += len(raw)
        if self._batch_bytes >= BATCH_BYTES:
            self._close_batch()
        if self._queued == self._enough:
            self._gathered.set()
        return True

    def flush(self) -> None:
        """Let all that was taken be written, as soon as the pipe is ready for it."""
        if self._batch:
            self._filled.set()

    def _close_batch(self) -> None:
        self._waiting.append(self._batch)
        self._filled.set()
        self._gathered.set()
        self._batch = []
        self._batch_bytes = 0

    def attach(self, link: int, descriptor: int) -> None:
        """Go on with a new pipe; what the old one still held is for the supervisor to count."""
        if self._writing is not None:
            self._writing.cancel()
        self.written[link] = 0
        pipe = os.fdopen(descriptor, "wb", 0)
        self._writing = asyncio.create_task(self._write(link, pipe))
        # One that is cancelled before it has begun closes nothing.
        self._writing.add_done_callback(lambda _: pipe.close())

    async def close(self) -> None:
        """Write all that waits, and end the pipe; returns when it is ended, or broken."""
        self._closing = True
        self._filled.set()
        if self._writing is not None:
            await self._writing

    async def _write(self, link: int, pipe: BinaryIO) -> None:
        """Write batches as they come, as fast as the pipe takes them, to its end."""
        writer = await open_writer(os.dup(pipe.fileno()))
        pipe.close()
        try:
            while batch := await self._next():
                self._queued -= len(batch)
                self.written[link] += len(batch)
                writer.write(encode_frame(batch))
                await writer.drain()
                await self._gather()
        except OSError:
            pass  # the worker is gone: the supervisor sees that too, and sends a new pipe
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _gather(self) -> None:
        """Leave time for the next batch to grow, since its worker wakes up for it."""
        if self._waiting or self._closing:
            return
        self._gathered.clear()
        enough = asyncio.get_running_loop().call_later(BATCH_DELAY_SECONDS, self._gathered.set)
        await self._gathered.wait()
        enough.cancel()

    async def _next(self) -> list[bytes] | None:
        """The next batch, which has all that there is; None when there will be no more."""
        while not self._waiting:
            if self._batch:
                self._close_batch()
            elif self._closing:
                return None
            else:
                self._filled.clear()
                await self._filled.wait()
        return self._waiting.popleft()
