"""The supervisor process: starts, watches, restarts and ends the others; writes the alarm files.

One coroutine lives through the lives of each child. What they report goes into the accounts, and
their lines into the files; while the disk is full, the workers wait, and the router drops.
"""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from loguru import logger

from shards.alarm_files import AlarmFiles
from shards.config.config_folder import Config
from shards.ipc.child import ChildProcess
from shards.ipc.framing import read_report
from shards.ipc.messages import AttachPipe, FromChild, Ready, RouterReport, Stop
from shards.ipc.pipes import data_pipe, open_reader
from shards.ipc.shared_setup import SharedSetup
from shards.ops.overview import Overview
from shards.periodic import run_every
from shards.router import process as router_process
from shards.settings.settings import Settings
from shards.supervisor.alarm_writer import RETRY_SECONDS, AlarmWriter
from shards.supervisor.child_setups import directives_by_worker, router_setup, worker_setups
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.observer import ROUTER, SAMPLE_SECONDS, Observer
from shards.supervisor.restart_policy import RestartPolicy
from shards.supervisor.watchdog import WATCHDOG_SECONDS, Watchdog
from shards.worker import process as worker_process

if TYPE_CHECKING:
    from shards.supervisor.overload_signals import OverloadSignals

GAVE_UP = 1
"""The exit code."""
START_SECONDS = 60.0
"""How long all processes together may take to be ready."""


class Supervisor:
    """All processes of one service, and what they have said."""

    def __init__(self, settings: Settings, config: Config, files: AlarmFiles) -> None:
        self._settings = settings
        self._output = AlarmWriter(files)
        self._accounts = LedgerAggregator()
        divided = directives_by_worker(settings, config)
        sizes = list(map(len, divided))
        self._directives = sum(sizes)
        self._watchdog = Watchdog(self._directives, settings.max_eps)
        self._worker_setups = [
            SharedSetup(setup) for setup in worker_setups(settings, config, divided)
        ]
        self._router_setup = SharedSetup(router_setup(settings, config))
        self._observer = Observer(settings, config, sizes, self._accounts)
        self._port = settings.port
        self._signals = _signals(settings)
        self._workers: dict[int, ChildProcess] = {}
        """Those that live, by number."""
        self._router: ChildProcess | None = None
        self._links = count(1)
        self._ready: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._stopping = asyncio.Event()
        self._code = 0

    async def serve(self) -> int:
        """See to all processes from their start to their end; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGUSR1, self._output.reopen_if_renamed)
        async with self._asked():
            await self._see_to_all()
        self._output.close()
        ledger = self._accounts.ledger()
        logger.bind(adds_up=ledger.adds_up, **ledger.lines()).info("ledger")
        return self._code

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        """Answer meanwhile whoever asks how it goes, unless nobody may."""
        settings = self._settings
        if not settings.ops_port:
            yield
            return
        from shards.ops import http_server  # noqa: PLC0415 - its libraries are large

        async with (
            http_server.serving(settings.ops_address, settings.ops_port, self._look),
            run_every(SAMPLE_SECONDS, self._observer.sample),
        ):
            yield

    def _look(self) -> Overview:
        return self._observer.look(self._output, stopping=self._stopping.is_set())

    async def _see_to_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            workers = [
                group.create_task(self._live_worker(number, setup))
                for number, setup in enumerate(self._worker_setups)
            ]
            lives = [*workers]
            signals = None if self._signals is None else group.create_task(self._signals.run())
            if await self._become_ready(map(_name, range(len(workers)))):
                lives.append(group.create_task(self._live_router()))
                await self._serve_until_stopped()
            await self._drain(lives)
            if signals is not None:
                signals.cancel()

    def _on_signal(self) -> None:
        """The first asks to finish, a second one not to wait for that."""
        if self._stopping.is_set():
            self._force("asked twice to stop")
        self._stopping.set()

    async def _become_ready(self, names: Iterable[str]) -> bool:
        """Wait for these processes; False when it is time to stop before they are ready."""
        ready = asyncio.create_task(self._all_ready(names))
        stopping = asyncio.create_task(self._stopping.wait())
        done, waiting = await asyncio.wait(
            (ready, stopping), timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for task in waiting:
            task.cancel()
        if not done:
            self._give_up(f"not all processes were ready within {START_SECONDS:.0f} s")
        return ready in done and not self._stopping.is_set()

    async def _all_ready(self, names: Iterable[str]) -> None:
        for name in names:
            await self._ready[name].wait()

    async def _serve_until_stopped(self) -> None:
        if not await self._become_ready([ROUTER]):
            return
        logger.bind(
            workers=len(self._worker_setups), directives=self._directives, events=self._source
        ).info("serving")
        async with (
            run_every(WATCHDOG_SECONDS, self._watch),
            run_every(RETRY_SECONDS, self._output.reopen_if_renamed),
        ):
            await self._stopping.wait()

    @property
    def _source(self) -> str:
        """Where events come from, for people."""
        if self._settings.mode == "cluster-backend":
            return str(self._settings.redacted("msq"))
        return f"http://{self._settings.address}:{self._port}/events"

    def _watch(self) -> None:
        self._watchdog.report(self._accounts, WATCHDOG_SECONDS, self._output.trouble)

    async def _drain(self, lives: list[asyncio.Task[None]]) -> None:
        """Let the router finish, then the workers; use force when that takes too long."""
        try:
            async with asyncio.timeout(self._settings.shutdown_timeout):
                await self._finish(lives)
        except TimeoutError:
            self._force(f"not all was done within {self._settings.shutdown_timeout} s")

    async def _finish(self, lives: list[asyncio.Task[None]]) -> None:
        workers, routers = lives[: len(self._worker_setups)], lives[len(self._worker_setups) :]
        if self._router is not None:
            self._router.send(Stop())
        await asyncio.wait(routers) if routers else None
        for child in self._workers.values():
            child.send(Stop())
        await asyncio.wait(workers)

    def _force(self, why: str) -> None:
        """End all processes now; what they had not done is lost, and counted."""
        logger.error(f"stopping by force: {why}")
        self._code = GAVE_UP
        self._output.give_up()
        for child in (self._router, *self._workers.values()):
            if child is not None:
                child.kill()

    def _give_up(self, why: str) -> None:
        """Stop, since serving makes no sense any more."""
        logger.error(f"giving up: {why}")
        self._code = GAVE_UP
        self._stopping.set()

    async def _live_worker(self, number: int, setup: SharedSetup) -> None:
        """All the lives of one worker."""
        name, restarts = _name(number), RestartPolicy()
        while not self._stopping.is_set():
            reader, writer = data_pipe()
            first = not self._ready[name].is_set()
            child = _started(name, worker_process.main, setup, writer, first)
            writer.close()
            if child is None:
                reader.close()
                await self._after_death(name, None, restarts)
                continue
            self._workers[number] = child
            self._observer.started(number)
            self._connect(number)
            collecting = asyncio.create_task(self._collect(number, os.dup(reader.fileno())))
            reader.close()
            code = await child.attend(lambda message: self._on_worker_ready(number))
            await collecting  # what it said before it ended
            del self._workers[number]
            self._observer.ended(number)
            self._accounts.worker_gone(number, clean=code == 0)
            await self._after_death(name, code, restarts)

    def _on_worker_ready(self, number: int) -> None:
        self._ready[_name(number)].set()
        self._observer.ready(number)

    async def _collect(self, number: int, descriptor: int) -> None:
        """Take all that a worker says; while it cannot be written, the worker waits."""
        async with open_reader(descriptor) as stream:
            while (report := await read_report(stream)) is not None:
                if self._accounts.worker_reported(number, report) and self._signals is not None:
                    self._signals.late()
                self._observer.reported(number, report)
                await self._output.write(report)

    async def _live_router(self) -> None:
        """All the lives of the router."""
        restarts = RestartPolicy()
        while not self._stopping.is_set():
            self._router = _started(ROUTER, router_process.main, self._router_setup, self._port)
            if self._router is None:
                await self._after_death(ROUTER, None, restarts)
                continue
            self._observer.started(None)
            for number in self._workers:
                self._connect(number)
            code = await self._router.attend(self._on_router)
            self._router = None
            self._observer.ended(None)
            silent = self._observer.silent(None)
            self._accounts.router_gone(None if code == 0 else silent)
            await self._after_death(ROUTER, code, restarts)

    def _on_router(self, message: FromChild) -> None:
        match message:
            case Ready(listening):
                if listening is not None:  # keep the port, even one that was free by chance
                    self._port = listening[1]
                self._ready[ROUTER].set()
                self._observer.ready(None)
            case RouterReport():
                self._accounts.router_reported(message)
                self._observer.heard(None)

    def _connect(self, number: int) -> None:
        """Make a data pipe from the router to a worker, if both live."""
        child = self._workers.get(number)
        if child is None or self._router is None:
            return
        reader, writer = data_pipe()
        attach = AttachPipe(next(self._links), number)
        self._accounts.link_opened(attach.link, number)
        child.send_descriptor(attach, reader.fileno())
        self._router.send_descriptor(attach, writer.fileno())
        reader.close()
        writer.close()

    async def _after_death(self, name: str, code: int | None, restarts: RestartPolicy) -> None:
        """Wait as long as is good before the next life, or give up; no code: there was none."""
        if self._stopping.is_set():
            return
        delay = restarts.died(time.monotonic())
        if not self._ready[name].is_set():
            self._give_up(f"{name} ended with {code} before it was ready")
        elif delay is None:
            self._give_up(f"{name} has ended too often, now with {code}")
        else:
            logger.bind(process=name, code=code, restart_in=delay).error("a process has died")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)


def _started(name: str, *what: Any) -> ChildProcess | None:
    """A new child; None when there can be none now, for want of memory, files or processes."""
    try:
        return ChildProcess(name, *what)
    except OSError as error:
        logger.error(f"{name} cannot be started: {error.strerror}")
        return None


def _name(number: int) -> str:
    return f"worker-{number}"


def _signals(settings: Settings) -> "OverloadSignals | None":
    if settings.mode != "cluster-backend":
        return None
    from shards.supervisor.overload_signals import OverloadSignals  # noqa: PLC0415 - standalone needs no NATS

    return OverloadSignals(settings)
