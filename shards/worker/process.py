"""A worker process: the shard among the processes, with its pipes, its clock, its end."""

import asyncio
import os
import time
from collections.abc import Iterable

from multiprocess.connection import Connection

from engine.alarm import PublishedAlarm
from shards.checkpoint.checkpointer import Checkpointer
from shards.ipc import memory
from shards.ipc.control import ControlChannel, run_child
from shards.ipc.framing import encode_frame, read_batch
from shards.ipc.messages import AttachPipe, Ready, Stop, ToChild
from shards.ipc.pipes import BATCH_DELAY_SECONDS, READ_BYTES, open_reader, open_writer
from shards.ipc.shared_setup import SharedSetup
from shards.periodic import run_every
from shards.worker.shard import Shard, WorkerSetup

TICK_SECONDS = 0.5
"""How often a shard looks at the clock, and says what it has done, when nothing happens."""


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
        self._look_up(writer)
        self._control.send(Ready())
        async with run_every(TICK_SECONDS, lambda: self._tick(writer)), self._keeper.keeping():
            while (pipe := await self._inlets.get()) is not None:
                await self._read(*pipe, writer)
        if self._shard.enriching is not None:
            self._shard.enriching.close()
        self._shard.close(self._clock())
        self._report(writer, details=True)
        writer.close()
        await writer.wait_closed()
        self._keeper.finish()

    def _look_up(self, writer: asyncio.StreamWriter) -> None:
        """From now on have alarms looked up, if there are sources."""

        def publish(publishes: Iterable[PublishedAlarm]) -> None:
            self._shard.publish(publishes)
            if writer.transport.get_write_buffer_size() < READ_BYTES:  # else with the next tick
                self._report_soon(writer)

        setup, shard = self._setup, self._shard
        if setup.sources:
            from shards.worker.enrichment import Enrichment  # noqa: PLC0415 - most places have no lookups

            shard.enriching = Enrichment(shard.correlator, setup.sources, setup.settings, publish)

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
