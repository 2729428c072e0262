"""Events over HTTP that are on disk before the answer; what a death left behind is read again.

The events of all requests that arrive while the disk is written go into the next write together.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from loguru import logger
from msgspec.structs import replace

from shards.cancellation import cancel
from shards.ledger import Feed
from shards.positions import base_of, life_of, sequence_of
from shards.sources.http_source import HttpSource
from shards.sources.spool import Spool, SpoolRecord
from shards.sources.stream_progress import StreamSink

_NAME = "spool@"
"""In place of the name of a stream."""
_TICK_SECONDS = 0.5


class SpoolSink(StreamSink, Protocol):
    """What takes the events of a spool: the router."""

    @property
    def saved(self) -> int:
        """The position up to which the checkpoints of all shards hold the effect."""


class SpoolSource:
    """An HTTP source with a spool."""

    def __init__(
        self,
        sink: SpoolSink,
        http: HttpSource,
        folder: Path,
        clock: Callable[[], int],
    ) -> None:
        """`http`: its events are stored here; `folder`: of the segments; `clock`: seconds."""
        self._sink = sink
        self._http = http
        self._folder = folder
        self._clock = clock
        self._now = 0
        self._spool: Spool | None = None
        self._life = 0
        self._waiting: list[tuple[int, list[bytes], asyncio.Future[None]]] = []
        """Batches to be stored, with their time."""
        self._has_waiting = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._trouble = ""

    async def start(self) -> tuple[str, int] | None:
        """Listen; requests are refused until what the spool holds has been read."""
        place = await self._http.start()
        self._running = asyncio.create_task(self._run_or_exit())
        return place

    @property
    def feed(self) -> Feed:
        """Counts of events that did not arrive."""
        missing = self._spool.missing if self._spool is not None else 0
        return replace(self._http.feed, expired=missing)

    @property
    def lag(self) -> int:
        """0: all that is on disk is passed on at once."""
        return 0

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._http.connected and self.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether what the spool holds has been read."""
        return self._spool is not None

    async def stop(self) -> None:
        """Accept no more events, and finish the requests under way."""
        await self._http.stop()
        await cancel(self._running)
        if self._spool is not None:
            self._spool.close()

    async def store(self, events: list[bytes]) -> None:
        """Write events to the disk, and pass them on. OSError if they cannot be written."""
        if not events:
            return
        stored = asyncio.get_running_loop().create_future()
        self._now = max(self._now, self._clock())
        self._waiting.append((self._now, events, stored))
        self._has_waiting.set()
        await stored

    async def _run_or_exit(self) -> None:
        try:
            await self._run()
        except OSError as error:
            logger.error(f"the spool cannot be read: {error.filename}: {error.strerror}")
            raise SystemExit(1) from error
        except Exception as error:  # no task awaits this one: events would stop unnoticed
            logger.exception("the source of events has failed")
            raise SystemExit(1) from error

    async def _run(self) -> None:
        spool = await self._read_spool()
        self._spool = spool
        while True:
            try:
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._has_waiting.wait()
            except TimeoutError:
                self._now = max(self._now, self._clock())
                self._sink.advance_time(self._now)
            else:
                self._has_waiting.clear()
                await self._write(spool)
            spool.forget(self._sink.saved - base_of(self._life))

    async def _read_spool(self) -> Spool:
        """Open the spool, and pass on what the shards have not got."""
        sink = self._sink
        continues = sink.stream == _NAME
        self._life = life_of(sink.newest) if continues else life_of(sink.newest) + 1
        base = base_of(self._life)
        above = sequence_of(sink.newest) if continues else 0
        spool = await asyncio.to_thread(Spool, self._folder, above)
        if continues:
            after = max(0, sink.start - base)
        elif sink.newest:  # the spool is from before a stream
            after = spool.last
        else:  # what it holds was accepted, and no checkpoint is left that holds the effect
            after = spool.first - 1
        await sink.begin(base + after, 0 if continues else self._clock(), _NAME)
        number = 0
        for record in spool.read(after, max(0, sink.counted - base)):
            await sink.wait_for_room()
            self._take(record)
            number += len(record.events)
            await asyncio.sleep(0)
        log = logger.bind(events=number, missing=spool.missing)
        if spool.missing:
            log.error("events of the spool are damaged or gone: the others were read again")
        elif number:
            log.info("events of the spool were read again")
        return spool

    def _take(self, record: SpoolRecord) -> None:
        base = base_of(self._life)
        self._now = max(self._now, record.now)
        self._sink.take(record.events, base + record.first, base + record.last, record.now)

    async def _write(self, spool: Spool) -> None:
        """Store all that waits, and pass it on in this order."""
        waiting, self._waiting = self._waiting, []
        batches = [(now, events) for now, events, _ in waiting]
        try:
            records = await asyncio.to_thread(spool.append, batches)
        except OSError as error:
            self._log_trouble(f"{error.filename}: {error.strerror}")
            for _, _, stored in waiting:
                if not stored.done():
                    stored.set_exception(error)
            return
        self._log_trouble("")
        for record in records:
            self._take(record)
        for _, _, stored in waiting:
            if not stored.done():
                stored.set_result(None)

    def _log_trouble(self, trouble: str) -> None:
        """Log a trouble with the disk once, and its end."""
        if trouble and trouble != self._trouble:
            logger.error(f"events cannot be spooled, and are refused: {trouble}")
        elif self._trouble and not trouble:
            logger.info("events are spooled again")
        self._trouble = trouble
