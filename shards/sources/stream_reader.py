"""Reads a stream with one consumer until something breaks: pulls messages, asks for the time."""

import asyncio
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header

from shards.cancellation import cancel
from shards.sources import jetstream
from shards.sources.jetstream import JetStreamError, StreamInfo
from shards.sources.stream_parser import StreamMessages
from shards.sources.stream_progress import StreamProgress, StreamSink

BATCH = 2000
"""Messages of a request; two requests are under way at most."""
_BATCH_BYTES = 4 << 20
_MESSAGE_OVERHEAD = 1 << 12
"""Bytes of subject, reply subject and headers that the server counts beside a payload."""
_SECOND = 1_000_000_000
_EXPIRES = 20 * _SECOND
_HEARTBEAT = 2 * _SECOND
"""Lifetime of a request, and interval of signs of life from the server, in nanoseconds."""
PROBE_SECONDS = 0.5
"""Time without messages after which the server is asked whether that is all."""
SILENCE_SECONDS = 10.0
"""Time without a sign of life after which a consumer counts as gone."""
_HEARTBEAT_STATUS = "100"
_ENDED = ("404", "408")
"""Statuses with which a request ends in order."""
_COMPLETE = ("Batch Completed", "Message Size Exceeds MaxBytes")
"""Descriptions of status 409 with which a request ends in order; others mean the consumer's end."""
_PENDING = "Nats-Pending-Messages"


class StreamReader:
    """One consumer of a stream."""

    def __init__(
        self, client: Client, stream: str, consumer: str, progress: StreamProgress, sink: StreamSink
    ) -> None:
        self._client = client
        self._stream = stream
        self._consumer = consumer
        self._progress = progress
        self._sink = sink
        self._inbox = client.new_inbox()
        self._broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._wanted = asyncio.Event()
        self._wanted.set()
        """Whether another batch may be requested."""
        self._under_way = 0
        """Messages that have been requested and have not come."""
        self._heard_at = time.monotonic()
        self._has_new = True
        """Whether messages have come since the last probe."""
        self.lag: int | None = None
        """Messages that have not been read, if the last probe was answered after the last one."""

    async def read(self) -> None:
        """Read until something breaks; JetStreamError says what."""
        subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_status)
        tasks = [asyncio.create_task(work()) for work in (self._pull, self._probe)]
        try:
            waiting: list[asyncio.Future[Any]] = [*tasks, self._broken]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            raise JetStreamError(self._broken.result())
        finally:
            await cancel(*tasks)
            if self._client.is_connected:
                await subscription.unsubscribe()

    def end(self, why: str) -> None:
        """Let `read` end."""
        if not self._broken.done():
            self._broken.set_result(why)

    def take(self, messages: Sequence[StreamMessages]) -> None:
        """Take the messages of a read."""
        self._heard_at = time.monotonic()
        self._has_new, self.lag = True, None
        self._came(sum(last - first + 1 for first, last, _, _ in messages))
        self._progress.take(messages)

    def _came(self, messages: int) -> None:
        self._under_way = max(0, self._under_way - messages)
        if self._under_way <= BATCH:
            self._wanted.set()

    async def _pull(self) -> None:
        """Request batch after batch while there is room."""
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        most = max(_BATCH_BYTES, self._client.max_payload + _MESSAGE_OVERHEAD)
        request = (
            f'{{"batch":{BATCH},"max_bytes":{most},"expires":{_EXPIRES},'
            f'"idle_heartbeat":{_HEARTBEAT}}}'
        ).encode()
        for number in count():
            await self._wanted.wait()
            await self._sink.wait_for_room()
            self._under_way += BATCH
            if self._under_way > BATCH:
                self._wanted.clear()
            await self._client.publish(subject, request, f"{self._inbox}.{number}")

    async def _on_status(self, message: Msg) -> None:
        """A heartbeat, or the end of a request."""
        self._heard_at = time.monotonic()
        headers = message.headers or {}
        status, why = (
            headers.get(Header.STATUS.value, ""),
            headers.get(Header.DESCRIPTION.value, ""),
        )
        if status == _HEARTBEAT_STATUS:
            return
        if status in _ENDED or why in _COMPLETE:
            pending = headers.get(_PENDING, "")
            self._came(int(pending) if pending.isdecimal() else 0)
        elif status == "503":
            self.end("the server has forgotten the consumer")
        else:
            self.end(f"{why or 'a request for messages was refused'} (status {status})")

    async def _probe(self) -> None:
        """While nothing comes, ask for the state of the stream, and follow the server's clock."""
        while True:
            self._has_new = False
            await asyncio.sleep(PROBE_SECONDS)
            if self._under_way and time.monotonic() - self._heard_at > SILENCE_SECONDS:
                self.end("the server is silent")
            if not self._has_new:
                self._take_state(await jetstream.stream_info(self._client, self._stream))

    def _take_state(self, info: StreamInfo) -> None:
        """Take an answer, unless messages have come meanwhile: it may be older than they are."""
        if self._has_new:
            return
        if not self._progress.fits(self._stream, info):
            self.end("the stream is not the one that it was")
            return
        self._progress.note_end(info)
        self.lag = info.state.last_seq - self._progress.sequence
