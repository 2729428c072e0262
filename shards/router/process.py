"""The router process: its pipes, its event source, its reports, its end."""

import asyncio
import sys
import time

from loguru import logger
from multiprocess.connection import Connection

from shards.checkpoint.paths import service_suffix
from shards.clock import WallClock
from shards.ipc.control import ControlChannel, run_child
from shards.ipc.memory import tune_memory
from shards.ipc.messages import (
    AttachPipe,
    DetachPipe,
    Prepare,
    Ready,
    Saved,
    Stop,
    Switch,
    Switched,
    ToChild,
)
from shards.ipc.preparations import Preparations
from shards.ipc.shared_value import SharedValue
from shards.ipc.span_reports import reporting_spans
from shards.ipc.unmatched_reports import reporting_unmatched
from shards.periodic import run_every
from shards.progress import TrackProgress, untracked
from shards.router.router import EventCheck, Router
from shards.router.routing_table import RoutingTable
from shards.router.send_queue import SendQueue
from shards.router.start import RouterStart
from shards.router.stream_queue import StreamQueue
from shards.router.stream_router import StreamRouter
from shards.settings.settings import Settings
from shards.sources.event_source import EventSource
from shards.tracing.span import SpanBuffer
from shards.unmatched_events import UnmatchedEvents

REPORT_SECONDS = 0.5
TICK_SECONDS = 0.5
"""Time without events after which a worker gets the time alone."""


def main(control: Connection, settings: Settings, start: RouterStart) -> None:
    """The target of the router process; its data pipes arrive as AttachPipe messages."""
    channel = ControlChannel(control)
    run_child(settings, lambda: _RouterProcess(channel, settings, start).run())


class _RouterProcess:
    """Connects a Router to its event source, its data pipes and the supervisor."""

    def __init__(self, control: ControlChannel, settings: Settings, start: RouterStart) -> None:
        self._control = control
        self._settings = settings
        self._start = start._replace(down_since=start.down_since or time.monotonic())
        self._stopping = asyncio.Event()
        self._is_failed = False
        self._source: EventSource
        self._send_queues = self._make_send_queues()
        self._preparations = Preparations(control, self._load_table)
        (_, first), *later = self._first_tables()
        self._spans = SpanBuffer() if settings.otel_tracing_enabled else None
        self._unmatched = UnmatchedEvents() if settings.metrics_per_directive else None
        self._router = self._make_router(first)
        self._stream_router = self._make_stream_router()
        for after, table in later:
            self._stream_router.use_after(table, after)

    def _first_tables(self) -> list[tuple[int, RoutingTable]]:
        """The tables to begin with, and the positions in a stream after which each is used."""
        return [
            (
                begun.after,
                RoutingTable(
                    begun.generation,
                    begun.config.load(),
                    self._settings,
                    self._control.track_progress,
                    () if begun.restored is None else begun.restored.load(),
                ),
            )
            for begun in self._start.generations
        ]

    def _load_table(
        self, generation: int, config: SharedValue, track_progress: TrackProgress
    ) -> RoutingTable:
        return RoutingTable(generation, config.load(), self._settings, track_progress)

    def _make_router(self, first: RoutingTable) -> Router:
        """With tracing, one that notes spans."""
        if self._spans is None:
            return Router(first, self._send_queues, self._unmatched)
        from shards.router.traced_router import TracedRouter  # noqa: PLC0415 - rarely wanted

        sample = self._settings.otel_sample
        return TracedRouter(first, self._send_queues, sample, self._spans, self._unmatched)

    def _make_send_queues(self) -> list[SendQueue]:
        settings, start = self._settings, self._start
        retain_bytes = settings.retain_bytes if settings.checkpoint_interval else 0
        if settings.source_keeps_events:
            return [
                StreamQueue(settings.max_queue, retain_bytes, shard.position, self._read_again)
                for shard in start.shards
            ]
        clock = WallClock().now
        return [
            SendQueue(settings.max_queue, retain_bytes, start.life, clock)
            for _ in range(settings.workers)
        ]

    async def run(self) -> None:
        """Run until the supervisor sends Stop: then stop the source, and write what is queued."""
        self._control.set_handler(self._on_message)
        self._source = source = self._make_source()
        try:
            self._control.send(Ready(await source.start()))
        except OSError as error:
            reason = error.strerror or error
            port = self._start.port
            logger.error(f"cannot listen on {self._settings.address} port {port}: {reason}")
            await self._close_send_queues()
            sys.exit(1)
        tune_memory()
        self._report()
        async with (
            run_every(REPORT_SECONDS, self._report),
            run_every(TICK_SECONDS, self._tick),
            reporting_spans(self._control, self._spans),
            reporting_unmatched(self._control, self._unmatched),
        ):
            await self._stopping.wait()
            if self._is_failed:
                self._report()
                sys.exit(1)
            await source.stop()
            self._router.close()
            self._report()
            await self._close_send_queues()
        self._report_surely()

    def _make_source(self) -> EventSource:
        """The event source of the mode; the libraries of the other ones are not imported."""
        settings, start = self._settings, self._start
        if settings.stream:
            from shards.sources.stream_source import StreamSource  # noqa: PLC0415

            return StreamSource(self._stream_router, settings)
        if settings.spool:
            return self._make_spool_source()
        if settings.mode == "cluster-backend":
            from shards.sources.nats_source import NatsSource  # noqa: PLC0415

            return NatsSource(self._router.route, settings, start.down_since or 0.0)
        from shards.sources.http_source import HttpSource  # noqa: PLC0415

        return HttpSource(self._router, settings.address, start.port, settings.api_token)

    def _make_spool_source(self) -> EventSource:
        from shards.sources.http_source import HttpSource  # noqa: PLC0415
        from shards.sources.spool_source import SpoolSource  # noqa: PLC0415

        settings, check = self._settings, EventCheck(self._router)
        http = HttpSource(check, settings.address, self._start.port, settings.api_token)
        folder = settings.log_dir / f"spool{service_suffix(settings)}"
        source = SpoolSource(self._stream_router, http, folder, WallClock().now)
        http.use_store(source)
        return source

    def _make_stream_router(self) -> StreamRouter:
        """What a stream is routed by; without one it has no queues, and is not used."""
        queues = [queue for queue in self._send_queues if isinstance(queue, StreamQueue)]
        start, report = self._start, self._report_surely
        return StreamRouter(self._router, queues, start.shards, start.read, report)

    def _read_again(self) -> None:
        """End, so that the next router reads the stream from where the workers are."""
        logger.warning("a worker has an older checkpoint than was known: the stream is read again")
        self._is_failed = True
        self._stopping.set()

    async def _close_send_queues(self) -> None:
        await asyncio.gather(*(queue.close() for queue in self._send_queues))

    def _on_message(self, message: ToChild, descriptor: int | None) -> None:
        match message:
            case AttachPipe(worker, _, after, generation) if descriptor is not None:
                self._send_queues[worker].attach_pipe(descriptor, after, generation)
            case DetachPipe(worker, for_good):
                self._send_queues[worker].detach_pipe(for_good=for_good)
            case Saved(worker, position, held, generation):
                self._send_queues[worker].forget(position, generation, held)
            case Prepare(generation) if descriptor is not None:
                self._preparations.add(generation, SharedValue(descriptor))
            case Switch(generation, reached):
                self._switch(self._preparations.take(generation, untracked), reached)
            case Stop():
                self._stopping.set()

    def _switch(self, table: RoutingTable, reached: int) -> None:
        """Use a table for what follows; the supervisor knows it before any worker does."""
        if not self._settings.source_keeps_events:
            self._control.send(Switched(table.generation))
            self._router.use(table)
            return
        after = max(self._stream_router.newest_position, reached)
        self._report_surely()  # the next router must not count by this table what is before
        self._control.send(Switched(table.generation, after))
        self._stream_router.use_after(table, after)

    def _tick(self) -> None:
        for queue in self._send_queues:
            queue.tick()

    def _report(self) -> None:
        self._control.send_if_room(self._router.make_report(self._source))

    def _report_surely(self) -> None:
        self._control.send(self._router.make_report(self._source))
