"""The router and the workers over all their restarts: start, data pipes, reports, end.

One task runs each child from its first start to its last end. The worker's reports go to the ledger
aggregator and the observer, its lines to the alarm writer.
"""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from uuid import uuid4

from loguru import logger

from shards.ipc.child import ChildProcess, end_hung
from shards.ipc.forked_process import ForkServer
from shards.ipc.framing import FrameError, read_report
from shards.ipc.messages import (
    AttachPipe,
    DetachPipe,
    FromChild,
    Ready,
    RouterReport,
    SpanReport,
    Stop,
    ToChild,
    UnmatchedReport,
)
from shards.ipc.pipes import make_pipe, open_reader
from shards.router.start import ROUTER_TARGET, RouterStart
from shards.settings.settings import Settings
from shards.supervisor.explain_requests import ExplainRequests
from shards.supervisor.generations import Generations
from shards.supervisor.handover import Handover
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.observer import ROUTER, Observer, worker_name
from shards.supervisor.report_taker import ReportTaker
from shards.supervisor.restarts import Restarts
from shards.supervisor.shutdown import Shutdown
from shards.supervisor.worker_queries import WorkerQueries
from shards.worker.start import NOTHING_WRITTEN, WORKER_TARGET, WorkerStart


class Children:
    """All children of the supervisor."""

    def __init__(
        self,
        fork_server: ForkServer,
        settings: Settings,
        generations: Generations,
        shutdown: Shutdown,
        aggregator: LedgerAggregator,
        observer: Observer,
        reports: ReportTaker,
    ) -> None:
        self._fork_server = fork_server
        self._settings = settings
        self._generations = generations
        self._shutdown = shutdown
        self._aggregator = aggregator
        self._observer = observer
        self._reports = reports
        self.port = settings.port
        """Port of the HTTP source; the one that the first router got is kept over restarts."""
        self._workers: dict[int, ChildProcess] = {}
        """The running workers, by number."""
        self.queries = WorkerQueries(self._workers, settings.workers)
        self.explain_requests = ExplainRequests(self.queries.ask)
        self.handover = Handover(generations, self._workers, settings.workers)
        self._waiting: dict[int, Ready] = {}
        """Workers that are ready and have no data pipe, by number: what each has said then."""
        self._connected: dict[int, int] = {}
        """By number: the life of the router that a running worker had its last data pipe from."""
        self._router: ChildProcess | None = None
        self._hung: dict[ChildProcess, asyncio.Task[None]] = {}
        """Processes that are being killed because they hang."""
        self.run = uuid4().hex
        """Identifies this run of the service."""
        self._router_life = 0
        self._has_checkpoints = settings.checkpoint_interval > 0
        self._ready: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.on_spans: Callable[[str, SpanReport], None] | None = None
        """Called with the name of a process and the spans that it reports."""

    @property
    def worker_count(self) -> int:
        """Number of workers, running or not."""
        return self._settings.workers

    async def wait_until_workers_are_ready(self) -> None:
        """Wait until every worker has been ready once."""
        for number in range(self.worker_count):
            await self._ready[worker_name(number)].wait()

    async def wait_until_router_is_ready(self) -> None:
        """Wait until the router has been ready once."""
        await self._ready[ROUTER].wait()

    def _restarts(self, name: str) -> Restarts:
        return Restarts(name, self._ready[name], self._shutdown)

    async def run_worker(self, number: int) -> None:
        """Run a worker, and restart it when it dies, until the shutdown."""
        restarts, code, drains = self._restarts(worker_name(number)), 0, 0
        while not self._shutdown.is_requested or self._is_drain_due(code, drains):
            drains += self._shutdown.is_requested
            try:
                child, reports = self._start_worker(number)
            except OSError as error:
                await restarts.wait_for_resources(error)
                continue
            self._workers[number] = child
            self._observer.started(number)
            collecting = asyncio.create_task(self._collect_reports(number, child, reports))
            code = await child.handle_until_exit(lambda m: self._on_worker_message(number, m))
            await collecting  # its last reports
            del self._workers[number]
            self._send_to_router(DetachPipe(number))
            self._waiting.pop(number, None)
            self._connected.pop(number, None)
            self._hung.pop(child, None)
            self._observer.ended(number)
            self.queries.worker_ended(number)
            self.handover.ended(number)
            self._reports.worker_ended(number, clean=code == 0)
            await restarts.wait(code)
        self._send_to_router(DetachPipe(number, for_good=True))
        if code and self._shutdown.exit_code == 0:
            self._shutdown.give_up(f"{worker_name(number)} has died during the stop, with {code}")

    def _is_drain_due(self, code: int, drains: int) -> bool:
        """Whether a worker that died is started during the stop: once, for what the router has."""
        has_more = self._router is not None and self._shutdown.exit_code == 0
        return code != 0 and drains == 0 and has_more

    def _start_worker(self, number: int) -> tuple[ChildProcess, int]:
        """Start a worker; returns it and the descriptor of its report pipe. OSError if it fails."""
        name = worker_name(number)
        reader, writer = make_pipe()
        with reader, writer:
            reports = os.dup(reader.fileno())
            try:
                arguments = self._settings, writer, self._how_to_start(number)
                child = ChildProcess(self._fork_server, name, WORKER_TARGET, *arguments)
            except BaseException:
                os.close(reports)
                raise
        return child, reports

    def _how_to_start(self, number: int) -> WorkerStart:
        is_first = not self._ready[worker_name(number)].is_set()
        written, position = self._reports.written(number), 0
        if not self._has_checkpoints:
            written, position = NOTHING_WRITTEN, written.position
        generations = self._generations.of_worker(number)
        return WorkerStart(number, self.run, generations, is_first, written, position)

    def _on_worker_message(self, number: int, message: FromChild) -> None:
        if isinstance(message, Ready):
            self._waiting[number] = message
            self._reports.worker_is_ready(number, message)
            if not (ready := self._ready[worker_name(number)]).is_set():
                self._generations.worker_restored(message.former)
            ready.set()
            self._connect(number)
            self._observer.ready(number)
        else:
            self._observer.heard(number)
            self._take_spans(worker_name(number), message)
            self.queries.take(number, message)
            self.handover.take(number, message)

    async def _collect_reports(self, number: int, child: ChildProcess, descriptor: int) -> None:
        """Take all reports of a worker; one that cannot be read kills it."""
        async with open_reader(descriptor) as stream:
            try:
                while (report := await read_report(stream)) is not None:
                    await self._reports.take(number, report, child.send, self._send_to_router)
                    self._generations.take(number, report)
            except FrameError as error:
                logger.bind(process=child.name, why=str(error)).error("a report cannot be read")
                child.kill()

    def _send_to_router(self, message: ToChild) -> None:
        """Send a message to the router, if it runs; the next one begins anew."""
        if self._router is not None:
            self._router.send(message)

    async def run_router(self) -> None:
        """Run the router, and restart it when it dies, until the shutdown."""
        restarts = self._restarts(ROUTER)
        down_since: float | None = None
        while not self._shutdown.is_requested:
            try:
                life, read = self._router_life + 1, self._aggregator.read
                known = self._generations.of_router()
                start = RouterStart(life, self.port, known, down_since, self._reports.starts, read)
                child = ChildProcess(
                    self._fork_server, ROUTER, ROUTER_TARGET, self._settings, start
                )
            except OSError as error:
                await restarts.wait_for_resources(error)
                continue
            self._router, self._router_life = child, life
            self.handover.router_started(child)
            self._aggregator.router_started()
            self._observer.started(None)
            for number in tuple(self._waiting):
                self._connect(number)
            code = await child.handle_until_exit(self._on_router_message)
            down_since = time.monotonic()
            self._router = None
            self._hung.pop(child, None)
            self._observer.ended(None)
            self.handover.ended(None)
            unreported = self._observer.seconds_silent(None) if code else None
            self._aggregator.router_ended(self._router_life, unreported)
            await restarts.wait(code)

    def _on_router_message(self, message: FromChild) -> None:
        match message:
            case Ready(listening):
                if listening is not None:
                    self.port = listening[1]
                self._ready[ROUTER].set()
                self._observer.ready(None)
            case RouterReport():
                self._aggregator.router_reported(message)
                self._observer.heard(None)
            case UnmatchedReport(signatures):
                self._observer.stats.take_signatures(signatures)
            case _:
                self._observer.heard(None)
                self._take_spans(ROUTER, message)
                self.handover.take(None, message)

    def _take_spans(self, process: str, message: FromChild) -> None:
        """A child has sent a message: it may be its spans."""
        if isinstance(message, SpanReport) and self.on_spans is not None:
            self.on_spans(process, message)

    def _connect(self, number: int) -> None:
        """Make a data pipe from the router to a worker, if both are running and not ending.

        If that fails, the worker is killed, and its next start tries again: without a pipe it would
        get no events.
        """
        child = self._workers.get(number)
        is_ending = self._shutdown.is_requested
        is_ending &= self._connected.get(number) == self._router_life
        if child is None or self._router is None or number not in self._waiting or is_ending:
            return
        try:
            reader, writer = make_pipe()
        except OSError as error:
            logger.bind(process=child.name, why=error.strerror).error("a data pipe was not made")
            child.kill()
            return
        ready = self._waiting.pop(number)
        self._connected[number] = self._router_life
        after, generation = ready.position, ready.generation
        if self._settings.source_keeps_events:
            after, _, generation = self._reports.starts[number]
        with reader, writer:
            attach = AttachPipe(number, self._router_life, after, generation)
            child.send_descriptor(attach, reader.fileno())
            self._router.send_descriptor(attach, writer.fileno())
        reached = max(ready.position, self._reports.written(number).position)
        self.handover.connected(number, reached if self._settings.source_keeps_events else 0)

    def check_progress(self) -> None:
        """Kill what makes no progress for the hang timeout, unless it stops; call it often."""
        for number, child in self._running():
            waits = number in self._reports.writing
            stalled = self._observer.sample_progress(number, waits_for_supervisor=waits)
            hangs = 0 < self._settings.hang_timeout <= stalled
            if hangs and not self._shutdown.is_requested and child not in self._hung:
                self._hung[child] = asyncio.create_task(end_hung(child, stalled))

    def _running(self) -> Iterator[tuple[int | None, ChildProcess]]:
        """The running workers by number, and the router (None)."""
        yield from self._workers.items()
        if self._router is not None:
            yield None, self._router

    def stop_router(self) -> None:
        """Tell the router to finish and exit."""
        self._send_to_router(Stop())

    def stop_workers(self, seconds: float) -> None:
        """Tell the workers to finish and exit within this time."""
        for child in self._workers.values():
            child.send(Stop(seconds))

    def kill_all(self) -> None:
        """Kill all children; what they had not done is lost, and counted."""
        for _, child in self._running():
            child.kill()
