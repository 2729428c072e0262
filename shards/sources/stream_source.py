"""Events from a JetStream stream: read from the position of the shards on, nothing is acknowledged.

Messages are pulled in batches, and no more of them than the workers have room for. Whatever breaks
on the way, a new consumer goes on after the last message read.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import datetime

import nats.errors
from loguru import logger
from nats.aio.client import Client

from shards.cancellation import cancel
from shards.ledger import Feed
from shards.settings.schema import parse_time
from shards.settings.settings import Settings
from shards.sources import jetstream, nats_connection
from shards.sources.jetstream import JetStreamError, StreamInfo, StreamMissingError
from shards.sources.nats_client import EventClient
from shards.sources.nats_connection import EVENTS_SUBJECT, RETRY_SECONDS
from shards.sources.stream_parser import StreamMessages, StreamParser
from shards.sources.stream_progress import StreamProgress, StreamSink
from shards.sources.stream_reader import StreamReader

_FAILURES = (JetStreamError, nats.errors.Error, OSError)


class StreamSource:
    """An event source: a pull consumer of a stream, made anew whenever anything breaks."""

    def __init__(self, sink: StreamSink, settings: Settings) -> None:
        self._sink = sink
        self._settings = settings
        self._name = settings.stream
        self._progress = StreamProgress(sink)
        self._client: Client | None = None
        self._parser: StreamParser | None = None
        self._reader: StreamReader | None = None
        self._running: asyncio.Task[None] | None = None
        self._logged = ""
        """The last trouble that was logged, since messages came the last time."""
        self._lost = 0

    async def start(self) -> None:
        """Start to connect, without waiting for the connection."""
        self._running = asyncio.create_task(self._run_or_exit())

    @property
    def feed(self) -> Feed:
        """Counts of lost connections, and of messages that were gone before they were read."""
        return Feed(lost=self._lost, expired=self._progress.expired)

    @property
    def lag(self) -> int:
        """Messages of the stream that have not been read, as far as is known."""
        if self._reader is not None and self._reader.lag is not None:
            return self._reader.lag
        return self._parser.lag if self._parser is not None else 0

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._reader is not None

    async def stop(self) -> None:
        """Take nothing more, and close: what has not been taken stays in the stream."""
        await cancel(self._running)
        if self._client is not None:
            await nats_connection.close(self._client)

    async def _run_or_exit(self) -> None:
        try:
            await self._run()
        except Exception as error:  # no task awaits this one: events would stop unnoticed
            logger.exception("the source of events has failed")
            raise SystemExit(1) from error

    async def _run(self) -> None:
        while True:
            client, closed = await nats_connection.connect(
                self._make_client,
                self._settings,
                name="dsiem-shards router",
                on_disconnected=self._on_disconnected,
            )
            while not closed.is_set():
                if client.is_connected:
                    try:
                        await self._read(client)
                    except _FAILURES as error:
                        self._log_trouble(str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    def _make_client(self) -> Client:
        self._client = client = EventClient()
        self._parser = StreamParser(client, EVENTS_SUBJECT, self._take)
        client.use_parser(self._parser)
        return client

    def _take(self, messages: Sequence[StreamMessages]) -> None:
        self._logged = ""
        if self._reader is not None:
            self._reader.take(messages)

    def _on_disconnected(self) -> None:
        if self._reader is not None:
            self._lost += 1
            self._reader.end("the connection is lost; events wait in the stream")

    def _log_trouble(self, why: str) -> None:
        if why != self._logged:
            self._logged = why
            logger.bind(stream=self._name, why=why).warning("trouble with the stream of events")

    async def _read(self, client: Client) -> None:
        """Read with a new consumer until something breaks, which is raised: see _FAILURES."""
        info = await self._find_stream(client)
        if happened := self._progress.resume(self._name, info):
            logger.bind(stream=self._name, why=happened).warning("the stream has changed")
        consumer = f"dsiem-shards-{uuid.uuid4().hex}"
        start = self._progress.sequence + 1 if self._progress.is_begun else self._first(info)
        before = await jetstream.create_consumer(client, self._name, consumer, start)
        await self._begin(info, before)
        if self._parser is not None:
            self._parser.use_consumer(consumer)
        self._reader = StreamReader(client, self._name, consumer, self._progress, self._sink)
        about = {"server": self._settings.redacted("msq"), "stream": self._name}
        logger.bind(**about, after=self._progress.sequence).info("receiving events from NATS")
        try:
            await self._reader.read()
        finally:
            self._reader = None

    async def _find_stream(self, client: Client) -> StreamInfo:
        """Ask for the stream; create it if it is missing and this is wanted. JetStreamError."""
        settings = self._settings
        try:
            info = await jetstream.stream_info(client, self._name)
        except StreamMissingError:
            if not settings.stream_create:
                raise JetStreamError(
                    "there is no such stream: create it, or let --stream-create do so"
                ) from None
            hours, most = settings.stream_max_age, settings.stream_max_bytes
            await jetstream.create_stream(client, self._name, EVENTS_SUBJECT, hours * 3600, most)
            logger.bind(stream=self._name).info("the stream was created")
            info = await jetstream.stream_info(client, self._name)
        if not info.has_subject(EVENTS_SUBJECT):
            subjects = ", ".join(info.config.subjects) or "none"
            raise JetStreamError(f"its subjects are {subjects}: {EVENTS_SUBJECT} is missing")
        return info

    def _first(self, info: StreamInfo) -> int | datetime:
        """Where a node begins that has not read the stream before."""
        match self._settings.stream_from:
            case "new":
                return info.state.last_seq + 1
            case "all":
                return 1
            case text:
                return parse_time(text)

    async def _begin(self, info: StreamInfo, sequence: int) -> None:
        """Let the shards save where they begin, if they have not begun; after this sequence."""
        now = 0  # the shards know their time
        if not self._progress.is_begun:
            self._progress.begin(self._name, info, sequence)
            now = int(info.time or time.time())
        await self._sink.begin(self._progress.position, now, self._progress.stream)
