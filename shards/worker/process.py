"""A worker process: the shard among the processes, with its pipes, its clock, its end."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from multiprocess.connection import Connection

from shards.checkpoint.checkpointer import Checkpointer
from shards.ipc import memory
from shards.ipc.control import ControlChannel, run_child
from shards.ipc.framing import encode_frame, read_batch
from shards.ipc.messages import AttachPipe, Ready, Stop, ToChild
from shards.ipc.pipes import BATCH_DELAY_SECONDS, READ_BYTES, open_reader, open_writer
from shards.ipc.shared_setup import SharedSetup
from shards.lookups.turn_limit import TurnLimit
from shards.periodic import run_every
from shards.worker.shard import Shard, WorkerSetup

if TYPE_CHECKING:  # most services have no lookups, and its libraries are large
    from shards.worker.enrichment import Enrichment

TICK_SECONDS = 0.5
"""How often a shard looks at the clock, and says what it has done, when nothing happens."""

RESULTS_PER_TURN = 64
"""Lookup results applied per turn of the event loop; each may build an alarm."""


def main(control: Connection, parcel: SharedSetup, outlet: Connection, first: bool) -> None:
    """The target of a worker process; the parcel holds a WorkerSetup, reports go to the outlet.

    The pipes that its events come from are told of by Attach messages. `first`: it is the first
    life of this worker, which goes on with what there was before the service started.
    """
    setup: WorkerSetup = parcel.unpack()
    run_child(
        setup.settings, lambda: _WorkerProcess(ControlChannel(control), setup, first).run(outlet)
    )


class _WorkerProcess:
    """The shard among the processes: its pipes, its clock, its end."""

    def __init__(self, control: ControlChannel, setup: WorkerSetup, first: bool) -> None:
        self._control = control
        self._setup = setup
        self._shard = Shard(setup)
        self._keeper = Checkpointer(self._shard, setup.settings, setup.options, first=first)
        self._inlets: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()
        """Links with their descriptors, to be read one after the other; None to end."""
        self._ended: list[int] = []
        self._now = 0
        self._reported = 0.0
        self._soon: asyncio.TimerHandle | None = None
        """The next report, if there is something to say."""

    async def run(self, outlet: Connection) -> None:
        writer = await open_writer(os.dup(outlet.fileno()))
        outlet.close()
        self._control.on_message(self._on_message)
        self._keeper.restore()
        memory.tune_memory()
        enriching = self._enriching(writer)
        ticking = run_every(TICK_SECONDS, lambda: self._tick(writer))
        async with enriching, ticking, self._keeper.keeping():
            self._control.send(Ready())
            while (pipe := await self._inlets.get()) is not None:
                await self._read(*pipe, writer)
        self._shard.close(self._clock())
        self._report(writer, details=True)
        writer.close()
        await writer.wait_closed()
        self._keeper.finish()

    @asynccontextmanager
    async def _enriching(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """Run the enrichment of alarms in the background, if there are lookup sources.

        Results that are in the queue at the end are still applied.
        """
        setup, shard = self._setup, self._shard
        if not setup.sources:
            yield
            return
        from shards.worker.enrichment import Enrichment  # noqa: PLC0415 - its libraries are large

        enrichment = Enrichment(shard.correlator, setup.sources, setup.settings)
        shard.enrichment = enrichment
        async with asyncio.TaskGroup() as group:
            lookups = group.create_task(enrichment.run())
            publisher = group.create_task(self._publish_enriched(enrichment, writer))
            try:
                yield
            finally:
                enrichment.close()
                lookups.cancel()
                publisher.cancel()
        while not enrichment.results.empty():
            shard.publish_enriched(enrichment.apply(enrichment.results.get_nowait()))

    async def _publish_enriched(
        self, enrichment: "Enrichment", writer: asyncio.StreamWriter
    ) -> None:
        """Apply lookup results, and report the enriched alarms soon."""
        turn = TurnLimit(RESULTS_PER_TURN)
        while True:
            publishes = enrichment.apply(await enrichment.results.get())
            self._shard.publish_enriched(publishes)
            if publishes and writer.transport.get_write_buffer_size() < READ_BYTES:
                self._report_soon(writer)  # else with the next tick
            await turn.step()

    def _on_message(self, message: ToChild, descriptor: int | None) -> None:
        match message:
            case AttachPipe(link) if descriptor is not None:
                self._inlets.put_nowait((link, descriptor))
            case Stop():
                self._inlets.put_nowait(None)

    async def _read(self, link: int, descriptor: int, writer: asyncio.StreamWriter) -> None:
        """Take all that comes out of a pipe; while the supervisor cannot write, wait for it."""
        async with open_reader(descriptor) as reader:
            while (batch := await read_batch(reader)) is not None:
                self._shard.take(link, batch, self._clock())
                if self._shard.has_lines:
                    self._report_soon(writer)
                    await writer.drain()
        self._ended.append(link)
        self._report(writer)

    def _tick(self, writer: asyncio.StreamWriter) -> None:
        self._shard.tick(self._clock())
        if writer.transport.get_write_buffer_size() < READ_BYTES:
            self._report(writer, details=True)

    def _report_soon(self, writer: asyncio.StreamWriter) -> None:
        """Report now, or together with what comes within some milliseconds of the last report."""
        loop = asyncio.get_running_loop()
        at = self._reported + BATCH_DELAY_SECONDS
        if loop.time() >= at:
            self._report(writer)
        elif self._soon is None:
            self._soon = loop.call_at(at, self._report, writer)

    def _report(self, writer: asyncio.StreamWriter, *, details: bool = False) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._reported = asyncio.get_running_loop().time()
        writer.write(encode_frame(self._shard.report(self._ended, details=details)))

    def _clock(self) -> int:
        """Whole seconds since the epoch, which never go back."""
        self._now = max(self._now, int(time.time()))
        return self._now
