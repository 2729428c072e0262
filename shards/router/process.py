"""The router process: its pipes, its event source, its reports, its end."""

import asyncio
import sys
import time

from loguru import logger
from multiprocess.connection import Connection

from shards.clock import WallClock
from shards.ipc.control import ControlChannel, run_child
from shards.ipc.memory import tune_memory
from shards.ipc.messages import AttachPipe, DetachPipe, Ready, Saved, Stop, ToChild
from shards.ipc.shared_setup import SharedSetup
from shards.periodic import run_every
from shards.router.router import Router, RouterSetup
from shards.router.send_queue import SendQueue
from shards.sources.event_source import EventSource

REPORT_SECONDS = 0.5
TICK_SECONDS = 0.5
"""Time without events after which a worker gets the time alone."""


def main(
    control: Connection, shared_setup: SharedSetup, port: int, down_since: float | None, life: int
) -> None:
    """The target of the router process; its data pipes arrive as AttachPipe messages.

    `shared_setup` holds a RouterSetup; `port` is the one to listen on, 0 for any free one;
    `down_since`: when the router before this one died, in monotonic seconds; `life`: its number
    among the routers of this run of the service, from 1.
    """
    started = time.monotonic() if down_since is None else down_since
    setup: RouterSetup = shared_setup.load()
    channel = ControlChannel(control)
    run_child(setup.settings, lambda: _RouterProcess(channel, setup, life).run(port, started))


class _RouterProcess:
    """Connects a Router to its event source, its data pipes and the supervisor."""

    def __init__(self, control: ControlChannel, setup: RouterSetup, life: int) -> None:
        self._control = control
        self._settings = settings = setup.settings
        self._stopping = asyncio.Event()
        retain_bytes = settings.retain_bytes if settings.checkpoint_interval else 0
        clock = WallClock().now
        self._send_queues = [
            SendQueue(settings.max_queue, retain_bytes, life, clock)
            for _ in range(settings.workers)
        ]
        self._router = Router(setup, self._send_queues, control.track_progress)

    async def run(self, port: int, down_since: float) -> None:
        """Run until the supervisor sends Stop: then stop the source, and write what is queued."""
        self._control.set_handler(self._on_message)
        source = self._make_source(port, down_since)
        try:
            self._control.send(Ready(await source.start()))
        except OSError as error:
            reason = error.strerror or error
            logger.error(f"cannot listen on {self._settings.address} port {port}: {reason}")
            await self._close_send_queues()
            sys.exit(1)
        tune_memory()
        self._report(source)
        async with (
            run_every(REPORT_SECONDS, lambda: self._report(source)),
            run_every(TICK_SECONDS, self._tick),
        ):
            await self._stopping.wait()
            await source.stop()
            self._router.close()
            self._report(source)
            await self._close_send_queues()
        self._control.send(self._router.make_report(source))

    def _make_source(self, port: int, down_since: float) -> EventSource:
        """The event source of the mode; the libraries of the other one are not imported."""
        settings = self._settings
        if settings.mode == "cluster-backend":
            from shards.sources.nats_source import NatsSource  # noqa: PLC0415

            return NatsSource(self._router.route, settings, down_since)
        from shards.sources.http_source import HttpSource  # noqa: PLC0415

        return HttpSource(self._router, settings.address, port, settings.api_token)

    async def _close_send_queues(self) -> None:
        await asyncio.gather(*(queue.close() for queue in self._send_queues))

    def _on_message(self, message: ToChild, descriptor: int | None) -> None:
        match message:
            case AttachPipe(worker, _, after) if descriptor is not None:
                self._send_queues[worker].attach_pipe(descriptor, after)
            case DetachPipe(worker, for_good):
                self._send_queues[worker].detach_pipe(for_good=for_good)
            case Saved(worker, position):
                self._send_queues[worker].forget(position)
            case Stop():
                self._stopping.set()

    def _tick(self) -> None:
        for queue in self._send_queues:
            queue.tick()

    def _report(self, source: EventSource) -> None:
        self._control.send_if_room(self._router.make_report(source))
