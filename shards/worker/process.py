"""A worker process: the data pipes, clock, checkpoints, reports and end of a shard."""

import asyncio
import os
import time

import msgspec
from multiprocess.connection import Connection

from shards.checkpoint.checkpointer import Checkpointer
from shards.checkpoint.stats import ShardProgress
from shards.clock import WallClock
from shards.ipc.batch_delay import BatchDelay
from shards.ipc.control import ControlChannel, run_child
from shards.ipc.framing import encode_report, read_batch
from shards.ipc.memory import tune_memory
from shards.ipc.messages import AttachPipe, Batch, Prepare, Ready, Stop, Synced, ToChild
from shards.ipc.pipes import READ_BYTES, open_reader, open_writer
from shards.ipc.preparations import Preparations
from shards.ipc.queries import AskWorker
from shards.ipc.shared_value import SharedValue
from shards.ipc.span_reports import reporting_spans
from shards.periodic import run_every
from shards.settings.settings import Settings
from shards.worker.enrichment_tasks import EnrichmentTasks
from shards.worker.queries import QueryTasks
from shards.worker.setup import first_generation, load_config, shard_options
from shards.worker.shard import Shard
from shards.worker.start import WorkerStart

TICK_SECONDS = 0.5
"""Interval of reports with details; without a router, also of what time alone causes."""

_EXIT_SHARE = 0.25
"""Share of the time of a stop in which no saved files are written: it is for the exit."""
_EXIT_SECONDS = 1.0
"""The exit gets at least so long: closing a large checkpoint takes a slow disk half a second."""


def main(
    control: Connection, settings: Settings, report_pipe: Connection, start: WorkerStart
) -> None:
    """The target of a worker process; its data pipes arrive as AttachPipe messages.

    Reports are written to `report_pipe`.
    """
    channel = ControlChannel(control)
    run_child(settings, lambda: _run_worker(channel, settings, report_pipe, start))


async def _run_worker(
    control: ControlChannel, settings: Settings, report_pipe: Connection, start: WorkerStart
) -> None:
    reports = await open_writer(os.dup(report_pipe.fileno()))
    report_pipe.close()
    await _WorkerProcess(control, settings, reports, start).run()


class _WorkerProcess:
    """Connects a Shard to its data pipes, the clock, its checkpoints and the supervisor."""

    def __init__(
        self,
        control: ControlChannel,
        settings: Settings,
        reports: asyncio.StreamWriter,
        start: WorkerStart,
    ) -> None:
        self._control = control
        self._settings = settings
        self._reports = reports
        self._start = start
        first = first_generation(settings, start, control.track_progress)
        directives, self._sources = load_config(
            first.generation, first.config, control.track_progress
        )
        progress = ShardProgress(
            start.worker,
            start.run,
            start.position,
            workers=settings.workers,
            nodes=settings.cluster_size,
            generation=first.generation,
        )
        options = shard_options(settings, lookups=bool(self._sources))
        self._shard = Shard(settings, options, directives, progress, start.written)
        if settings.otel_tracing_enabled:
            from shards.worker.shard_tracer import ShardTracer  # noqa: PLC0415 - rarely wanted

            self._shard.tracer = ShardTracer(self._shard.correlator, settings.otel_sample)
        self._checkpointer = Checkpointer(
            self._shard.correlator,
            directives.directives,
            progress,
            settings,
            options,
            first_start=start.is_first,
            sync_lines=self._sync_lines,
        )
        self._preparations = Preparations(control, load_config)
        self._data_pipes: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()
        """Descriptors of data pipes, to be read one after the other, with the life of the router
        that writes; None is the end."""
        self._is_reading = not start.is_first
        """Whether a router gives the time: it comes again with the deliveries given again."""
        self._syncs: dict[int, asyncio.Future[Synced]] = {}
        """Reports whose lines are not on the disk yet, by their number."""
        self._last_sync = 0
        self._save_until = 0.0
        """The end of the time for the saved files, in time.monotonic()."""
        self._clock = WallClock()
        self._enrichment_tasks = EnrichmentTasks(self._shard, settings)
        self._query_tasks = QueryTasks(self._shard, self._clock, control)
        self._report_delay = BatchDelay()
        self._reported_at = 0.0
        self._next_report: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Run until the supervisor sends Stop: then report the rest, and save the backlogs."""
        self._control.set_handler(self._on_message)
        self._checkpointer.restore(self._control.track_progress)
        self._shard.resume(self._checkpointer.ahead)
        tune_memory()
        ticking = run_every(TICK_SECONDS, self._tick)
        tracer = self._shard.tracer
        async with (
            reporting_spans(self._control, None if tracer is None else tracer.spans),
            self._enrichment_tasks.running(),
            ticking,
            self._checkpointer.running(),
        ):
            self._enrichment_tasks.use_sources(self._sources)
            self._send_ready()
            for begun in self._start.generations:
                if begun.generation > self._shard.progress.generation:
                    self._preparations.add(begun.generation, begun.config)
            while (pipe := await self._data_pipes.get()) is not None:
                await self._read_pipe(*pipe)
        await self._advance_wall_time()
        self._shard.close()
        synced = await self._sync_lines(details=True)
        self._reports.close()
        await self._reports.wait_closed()
        self._checkpointer.finish(self._save_until, synced.files)

    def _on_message(self, message: ToChild, descriptor: int | None) -> None:
        match message:
            case AttachPipe(life=life) if descriptor is not None:
                self._data_pipes.put_nowait((life, descriptor))
            case Synced(sync):
                if sync in self._syncs:
                    self._syncs.pop(sync).set_result(message)
            case AskWorker():
                self._query_tasks.take(message)
            case Prepare(generation) if descriptor is not None:
                self._preparations.add(generation, SharedValue(descriptor))
            case Stop(seconds):
                rest = max(seconds * _EXIT_SHARE, _EXIT_SECONDS)
                self._save_until = time.monotonic() + seconds - rest
                self._data_pipes.put_nowait(None)

    def _send_ready(self) -> None:
        progress = self._shard.progress
        former = self._shard.correlator.former_keys()
        self._control.send(
            Ready(
                position=progress.position,
                processed=progress.ledger.deliveries.processed,
                stream=progress.stream,
                generation=progress.generation,
                former=msgspec.msgpack.encode(former) if former else b"",
            )
        )

    async def _read_pipe(self, life: int, descriptor: int) -> None:
        """Process all batches of a data pipe; waits while the supervisor cannot write lines."""
        self._shard.begin_life(life)
        self._is_reading = True
        self._report()
        async with open_reader(descriptor) as reader:
            while (batch := await read_batch(reader)) is not None:
                if batch.generation > self._shard.progress.generation:
                    await self._begin_generation(batch)
                for part in self._shard.deliveries.new_parts(batch):
                    await self._advance_time(part.now)
                    self._shard.process_batch(part.last, part.events, part.now)
                if batch.asks:
                    self._checkpointer.request()
                if self._shard.has_lines:
                    self._report_soon()
                    await self._reports.drain()
        self._is_reading = False
        self._report()
        self._checkpointer.request()  # nobody keeps what came from this router
        self._send_ready()

    async def _begin_generation(self, batch: Batch) -> None:
        """Use the generation of a batch for it and what follows it; before, what is due by then."""
        if batch.now:
            await self._advance_time(batch.now)
        track_progress = self._control.track_progress
        directives, sources = self._preparations.take(batch.generation, track_progress)
        self._shard.reload(batch.generation, directives, lookups=bool(sources))
        self._enrichment_tasks.use_sources(sources)
        self._checkpointer.reload(directives.directives.keys())
        self._checkpointer.request()  # before it, the generations until now may be needed again
        self._report()

    async def _tick(self) -> None:
        if not self._is_reading:
            await self._advance_wall_time()
        if self._has_room:
            self._report(details=True)

    async def _advance_wall_time(self) -> None:
        """Do what time alone causes; a source that keeps events gives the time with them."""
        if not self._settings.source_keeps_events:
            await self._advance_time(self._clock.now())

    async def _advance_time(self, now: int) -> None:
        """Do all that time alone causes, and let other tasks run in between."""
        while not self._shard.advance_time(now):
            self._report_soon()
            await self._reports.drain()
            await asyncio.sleep(0)

    @property
    def _has_room(self) -> bool:
        """Whether the supervisor reads reports as fast as they are written."""
        return self._reports.transport.get_write_buffer_size() < READ_BYTES

    def _report_soon(self) -> None:
        """Report now, or a short time after the last report."""
        loop = asyncio.get_running_loop()
        at = self._reported_at + self._report_delay.seconds()
        if loop.time() >= at:
            self._report()
        elif self._next_report is None:
            self._next_report = loop.call_at(at, self._report)

    def _report(self, *, details: bool = False, sync: int = 0) -> None:
        if self._next_report is not None:
            self._next_report.cancel()
            self._next_report = None
        self._reported_at = asyncio.get_running_loop().time()
        report = self._shard.make_report(self._checkpointer.stats, details=details, sync=sync)
        for frame in encode_report(report):
            self._reports.write(frame)

    def _sync_lines(self, *, details: bool = False) -> asyncio.Future[Synced]:
        """Report all lines so far; the result is there when they are on the disk."""
        self._last_sync += 1
        synced = self._syncs[self._last_sync] = asyncio.get_running_loop().create_future()
        self._report(details=details, sync=self._last_sync)
        return synced
