"""The supervisor process: starts all parts in order, and stops them in reverse order.

While the disk is full, workers wait for the alarm writer, and the router's queues fill up.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from loguru import logger

from shards.alarm_files import AlarmFiles
from shards.cancellation import cancel
from shards.config.folder_watcher import FolderWatcher
from shards.config.generation import ConfigChanges
from shards.ipc.forked_process import ForkServer
from shards.ipc.memory import release_memory
from shards.ledger import Ledger
from shards.ops.overview import Overview
from shards.periodic import run_every
from shards.settings.schema import Origin
from shards.settings.settings import Settings
from shards.supervisor.alarm_writer import RETRY_SECONDS, AlarmWriter
from shards.supervisor.children import Children
from shards.supervisor.former_run import FormerRun
from shards.supervisor.generations import Generation, Generations
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.observer import SAMPLE_SECONDS, Observer
from shards.supervisor.optional_parts import (
    make_console,
    make_overload_signals,
    make_telemetry,
)
from shards.supervisor.reload_triggers import run_triggers
from shards.supervisor.reloader import Reloader
from shards.supervisor.report_taker import ReportTaker
from shards.supervisor.shutdown import GAVE_UP, Shutdown
from shards.supervisor.stream_aggregator import StreamLedgerAggregator
from shards.supervisor.watchdog import WATCHDOG_SECONDS, Watchdog

if TYPE_CHECKING:
    from shards.ops.http_server import Pages

NO_ORIGINS: Mapping[str, Origin] = MappingProxyType({})
PROGRESS_SECONDS = 1.0
"""Interval of checks whether all processes make progress."""
_QUICK_START_SECONDS = 0.25
"""Time for the children to start before the ops server does."""


class Supervisor:
    """One service: its children, its alarm files, its ops server."""

    def __init__(
        self,
        settings: Settings,
        first: Generation,
        files: AlarmFiles,
        fork_server: ForkServer,
        former: FormerRun | None = None,
        origins: Mapping[str, Origin] = NO_ORIGINS,
    ) -> None:
        """`first`: the configuration to begin with. `former`: what the run before has left.

        `origins`: where the values of settings come from.
        """
        self._settings = settings
        self._former = former or FormerRun()
        self._shutdown = Shutdown()
        self._alarm_writer = AlarmWriter(files)
        self._aggregator = _make_aggregator(settings)
        self._watchdog = Watchdog(settings.max_eps)
        self._observer = Observer(settings, first, self._aggregator)
        self._console = make_console(settings, origins, files)
        if self._console is not None:
            self._observer.on_alarms = self._console.history.add_lines
        self._overload_signals = make_overload_signals(settings)
        self._telemetry = make_telemetry(settings)
        self._fork_server = fork_server
        generations = Generations(
            first,
            settings.workers,
            has_checkpoints=settings.checkpoint_interval > 0,
            has_stream=settings.source_keeps_events,
        )
        self._children = Children(
            fork_server,
            settings,
            generations,
            self._shutdown,
            self._aggregator,
            self._observer,
            ReportTaker(
                settings.workers,
                self._aggregator,
                self._observer,
                self._alarm_writer,
                self._overload_signals,
                self._former.written,
            ),
        )
        if self._telemetry is not None:
            self._observer.otel_dropped = self._telemetry.dropped
            self._children.on_spans = self._telemetry.take_spans
        self.reloader = Reloader(
            settings,
            fork_server,
            generations,
            self._children.handover.switch_to,
            self._use,
            self._observer.reloaded,
        )
        self.watcher: FolderWatcher | None = None
        """What asks for reloads when files change, if that is wanted; set by the owner."""
        self._use(first, ConfigChanges())

    def _use(self, generation: Generation, changes: ConfigChanges) -> None:
        """Let the supervisor's own parts know the configuration that runs."""
        self._observer.use(generation, changes)
        self._watchdog.directives = self._observer.directives
        self._children.explain_requests.use_directives(
            generation.summary.directives, is_part=self._settings.cluster_size > 1
        )

    async def serve(self) -> int:
        """Run the service until a signal or a failure ends it; returns the exit code."""
        self._shutdown.handle_signals(lambda: self._force_stop("asked twice to stop"))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._alarm_writer.reopen_if_renamed)
        loop.add_signal_handler(signal.SIGHUP, self.reloader.request, "SIGHUP")
        async with self._run_telemetry():
            await self._run_children()
        self._alarm_writer.close()
        self._aggregator.close()
        ledger = self._aggregator.total()
        logger.bind(adds_up=ledger.adds_up, **ledger.flat_counts()).info("ledger")
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # without its loop it would end the process
        return self._shutdown.exit_code

    @asynccontextmanager
    async def _ops_server(self) -> AsyncIterator[None]:
        """Run the health and metrics server, if enabled."""
        settings = self._settings
        if not settings.ops_port:
            yield
            return
        with suppress(TimeoutError):  # a quick start is not delayed by large libraries
            async with asyncio.timeout(_QUICK_START_SECONDS):
                await self._children.wait_until_router_is_ready()
        from shards.ops.explain_handler import ExplainHandler  # noqa: PLC0415 - large libraries
        from shards.ops.http_server import run_ops_server  # noqa: PLC0415
        from shards.ops.reload_handler import ReloadHandler  # noqa: PLC0415

        address, port, token = settings.ops_address, settings.ops_port, settings.api_token
        explain = ExplainHandler(self._children.explain_requests.explain, token)
        reload = ReloadHandler(self.reloader.reload, token, address)
        posts = {"/explain": explain.respond, "/reload": reload.respond}
        async with (
            self._run_console() as pages,
            run_ops_server(address, port, self._overview, posts, pages=pages),
            run_every(SAMPLE_SECONDS, self._observer.sample),
        ):
            yield
            if pages is not None:
                pages.close()

    def _run_telemetry(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._telemetry is None else self._telemetry.running(self._overview)

    def _run_console(self) -> "AbstractAsyncContextManager[Pages | None]":
        if self._console is None:
            return nullcontext()
        reload, ends = self.reloader.reload, self._alarm_writer.ends
        return self._console.running(self._children, self._overview, reload, ends)

    def _overview(self) -> Overview:
        return self._observer.overview(self._alarm_writer, stopping=self._shutdown.is_requested)

    async def _run_children(self) -> None:
        """Start the workers, then the router; serve; stop the router, then the workers."""
        children = self._children
        async with (
            run_every(PROGRESS_SECONDS, children.check_progress),
            run_every(PROGRESS_SECONDS, self._check_fork_server),
            asyncio.TaskGroup() as group,
        ):
            workers = [
                group.create_task(children.run_worker(number))
                for number in range(children.worker_count)
            ]
            router = group.create_task(self._run_router())
            signals = self._overload_signals
            publishing = None if signals is None else group.create_task(signals.run())
            async with self._ops_server():
                await self._serve_until_shutdown()
                self.reloader.close()
                await self._drain(router, workers)
            await cancel(publishing)

    async def _run_router(self) -> None:
        """Run the router once the workers are ready, unless the shutdown comes first."""
        if await self._become_ready(self._children.wait_until_workers_are_ready()):
            self._aggregator.add(Ledger(unreported_seconds=self._former.seconds_unreported()))
            await self._children.run_router()

    def _check_fork_server(self) -> None:
        try:
            if self._fork_server.restart_if_dead():
                logger.error("the fork server has died, and is started again")
        except OSError as error:
            logger.error(f"the fork server cannot be started: {error.strerror}")

    async def _become_ready(self, ready: Coroutine[Any, Any, None]) -> bool:
        """Wait for readiness; False if the shutdown comes first.

        A start has no time limit, as a large configuration may take long; a hang ends it.
        """
        tasks = asyncio.create_task(ready), asyncio.create_task(self._shutdown.requested.wait())
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return tasks[0] in done and not self._shutdown.is_requested

    async def _serve_until_shutdown(self) -> None:
        if not await self._become_ready(self._children.wait_until_router_is_ready()):
            return
        release_memory()
        logger.bind(
            workers=self._children.worker_count,
            directives=self._observer.directives,
            events=self._source_url,
        ).info("serving")
        async with (
            self.reloader.running(),
            run_triggers(self.watcher, self._settings.frontend_poll, self.reloader.request),
            run_every(WATCHDOG_SECONDS, self._log_watchdog_report),
            run_every(RETRY_SECONDS, self._alarm_writer.reopen_if_renamed),
        ):
            await self._shutdown.requested.wait()

    @property
    def _source_url(self) -> str:
        """The URL that events come from, without secrets."""
        if self._settings.mode == "cluster-backend":
            return str(self._settings.redacted("msq"))
        return f"http://{self._settings.address}:{self._children.port}/events"

    def _log_watchdog_report(self) -> None:
        self._watchdog.log_report(self._aggregator, WATCHDOG_SECONDS, self._alarm_writer.trouble)

    async def _drain(self, router: asyncio.Task[None], workers: list[asyncio.Task[None]]) -> None:
        """Stop the router, then the workers; by force after the shutdown timeout."""
        seconds = self._settings.shutdown_timeout
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                self._children.stop_router()
                await asyncio.wait([router])
                self._children.stop_workers(until - asyncio.get_running_loop().time())
                await asyncio.wait(workers)
        except TimeoutError:
            self._force_stop(f"not all was done within {self._settings.shutdown_timeout} s")

    def _force_stop(self, reason: str) -> None:
        """Kill all children; what they had not done is lost, and counted."""
        logger.error(f"stopping by force: {reason}")
        self._shutdown.exit_code = GAVE_UP
        self._alarm_writer.give_up()
        self._children.kill_all()


def _make_aggregator(settings: Settings) -> LedgerAggregator:
    if settings.source_keeps_events:
        return StreamLedgerAggregator(settings.workers)
    return LedgerAggregator(settings.workers, has_checkpoints=settings.checkpoint_interval > 0)
