"""The service as a cluster backend: fed over NATS, configured by a frontend, on this machine."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.cluster.publisher import BurstPlan, PublishReport, due_time
from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.support import synthetic
from benchmarks.support.measure import calibrate, cpu_nanos
from benchmarks.support.service_process import (
    FileTail,
    FinalLedger,
    LineCounter,
    ServiceProcess,
    cpu_seconds,
    machine_cpu_seconds,
)
from tests.support.frontend import Frontend
from tests.support.jetstream import on_disk
from tests.support.nats_server import NatsServer

OPTIONS = ("--workers=2", "--node=bench", "--mode=cluster-backend", "--config-dir=configs")
SIDS = tuple(synthetic.FIRST_SID + directive - 1 for directive in (1, 2, 3, 9))
"""Signatures of four directives; with two workers, each has two of the directives."""
MAX_LINE_DELAY = 2.0
"""Seconds after the end of publishing until the last line of a sustained run."""
MAX_PUBLISHER_DELAY = 0.25
"""Seconds behind its schedule that the publisher may be at the end of a sustained run."""
SERVICE_KINDS = ("router", "worker", "supervisor", "helper")
"""Kinds of process that belong to the service."""
_STALL_SECONDS = 5.0
"""Seconds without a new line after which missing lines count as lost."""
_POLL_SECONDS = 0.25


class Load(Struct, frozen=True):
    """Directives, and events for them: one event of each pair opens its backlog, the run follows.

    `sids`: signatures of matching events. `sources`: files of lookup sources, by name.
    """

    directives: bytes
    rate: int
    share: float
    sids: tuple[int, ...]
    pairs: int = 400
    sources: Mapping[str, bytes] = {}

    def opening_plan(self, port: int) -> BurstPlan:
        """One event of each pair, 5,000 a second."""
        seconds = self.pairs / 5000
        return BurstPlan(port, 1, 5000, seconds, 1.0, self.sids, self.pairs, in_order=True)

    def plan(self, port: int, seconds: float) -> BurstPlan:
        """The events of the run."""
        return BurstPlan(port, 2, self.rate, seconds, self.share, self.sids, self.pairs)


class Outcome(Struct, frozen=True):
    """The figures of a run.

    `line_delay`: seconds from the end of publishing until the last line; None if lines are missing.
    `cpu`: CPU seconds by kind of process, including nats-server and publisher. `other_cores`: cores
    that the rest of the machine used. `latencies`: seconds from the time an event was due until its
    line, if measured. `pss`: bytes of memory of the service at the end. `lost`: events that were
    not received or have no line of their own; `share_kept`: the share of the others. `calibration`:
    microseconds, measured after the run.
    """

    plan: BurstPlan
    report: PublishReport
    line_delay: float | None
    cpu: Mapping[str, float]
    other_cores: float
    latencies: Sequence[float]
    pss: int
    ledger: FinalLedger
    lost: int
    share_kept: float
    calibration: float

    @property
    def complete(self) -> bool:
        """Whether ledger and files have each event exactly once."""
        ledger = self.ledger
        clean = ledger.exit_code == 0 and ledger.adds_up and not ledger.losses
        return clean and self.lost == 0 and ledger.lines == ledger.distinct

    @property
    def sustained(self) -> bool:
        """Whether the run is complete, and publisher and service kept up with the rate."""
        published_in_time = self.report.final_delay <= MAX_PUBLISHER_DELAY
        written_in_time = self.line_delay is not None and self.line_delay <= MAX_LINE_DELAY
        return published_in_time and self.complete and written_in_time

    @property
    def rate(self) -> float:
        """Events per second: the rate of the plan if sustained, else of the events not lost."""
        if self.sustained:
            return self.plan.rate
        seconds = self.plan.seconds + self.report.final_delay + (self.line_delay or 0.0)
        return self.report.published * self.share_kept / seconds

    def cpu_micros(self, *kinds: str) -> float:
        """CPU microseconds of these kinds of process per published event."""
        return sum(self.cpu[kind] for kind in kinds) * 1e6 / self.report.published


class NatsService(ServiceProcess):
    """A running service that has subscribed to the events."""

    def __init__(self, server: NatsServer, frontend: Frontend, *options: str) -> None:
        urls = (f"--frontend={frontend.url}", f"--msq={server.url}")
        super().__init__(*OPTIONS, *urls, *options)
        self.wait_for_log("receiving events from NATS")
        self._server = server
        self._expected_lines = 0

    def run_plan(self, plan: BurstPlan, measure_latency: bool = False) -> Outcome:
        """Publish a plan, and wait for all lines; losses are not known before the service stops."""
        with PublisherProcess(plan) as publisher, ExitStack() as stack:
            tail = stack.enter_context(FileTail(self.alarm_events)) if measure_latency else None
            cpu_before, machine, since = self._cpu(), machine_cpu_seconds(), time.monotonic()
            start = publisher.start()
            report, last_line = self._wait_for_run(publisher)
            cpu = {kind: used - cpu_before[kind] for kind, used in self._cpu().items()}
            seconds, machine = time.monotonic() - since, machine_cpu_seconds() - machine
        seen_at = tail.seen_at if tail else {}
        return Outcome(
            plan=plan,
            report=report,
            line_delay=None if last_line is None else last_line - report.end,
            cpu=cpu | {"publisher": report.cpu},
            other_cores=max(0.0, machine - sum(cpu.values()) - report.cpu) / seconds,
            latencies=[at - start - due_time(event_id) for event_id, at in seen_at.items()],
            pss=self.pss(),
            ledger=FinalLedger(0, True, 0, 0, 0, 0, {}),
            lost=0,
            share_kept=1.0,
            calibration=0.0,
        )

    def run_after_pause(self, plan: BurstPlan) -> tuple[float, int]:
        """Publish a plan while the router is stopped, and let it go on.

        Returns the events per second from then to the last line, and the memory after it, in bytes.
        RuntimeError if lines are missing.
        """
        router = self.busiest("router")
        with PublisherProcess(plan) as publisher:
            os.kill(router, signal.SIGSTOP)
            publisher.start()
            report = publisher.report()
        self._expected_lines += report.matching
        since = time.monotonic()
        os.kill(router, signal.SIGCONT)
        last_line = _wait_for_lines(self.lines, self._expected_lines)
        if last_line is None:
            raise RuntimeError(f"lines are missing: {self.terminate()}")
        return report.published / (last_line - since), self.pss()

    def _wait_for_run(self, publisher: PublisherProcess) -> tuple[PublishReport, float | None]:
        """Wait for the publisher and for all lines; the time of the last line, None if missing."""
        while not publisher.ended:
            self.lines.count()
            time.sleep(_POLL_SECONDS)
        report = publisher.report()
        self._expected_lines += report.matching
        return report, _wait_for_lines(self.lines, self._expected_lines)

    def _cpu(self) -> dict[str, float]:
        """CPU seconds by kind of process, including nats-server and this process."""
        others = {"nats-server": cpu_seconds(self._server.pid), "benchmark": time.process_time()}
        return {**self.cpu_by_kind(), **others}


S = TypeVar("S", bound=NatsService)


def _wait_for_lines(lines: LineCounter, number: int) -> float | None:
    """Wait until there are `number` lines; the time at which there were, None if they stall."""
    known, since = -1, time.monotonic()
    while (count := lines.count()) < number:
        now = time.monotonic()
        if count > known:
            known, since = count, now
        if now - since > _STALL_SECONDS:
            return None
        time.sleep(0.005)
    return time.monotonic()


@contextmanager
def running_service(
    load: Load, create: Callable[[NatsServer, Frontend], S]
) -> Iterator[tuple[S, NatsServer, PublishReport]]:
    """A service with frontend and nats-server, in which each pair of addresses has a backlog.

    Yields the service, its nats-server, and the report on the events that opened the backlogs.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(NatsServer(folder, on_disk(folder / "jetstream")))
        frontend = stack.enter_context(Frontend())
        frontend.files["assets_bench.json"] = synthetic.assets()
        frontend.files["directives_bench_all.json"] = load.directives
        frontend.files.update(load.sources)
        service = create(server, frontend)
        stack.callback(service.kill)
        yield service, server, service.run_plan(load.opening_plan(server.port)).report


def run(
    load: Load, seconds: float, measure_latency: bool = False, options: Sequence[str] = ()
) -> Outcome:
    """Start a service with these options, run the load for `seconds`, and stop the service."""

    def create(server: NatsServer, frontend: Frontend) -> NatsService:
        return NatsService(server, frontend, *options)

    with running_service(load, create) as (service, server, opening):
        outcome = service.run_plan(load.plan(server.port, seconds), measure_latency)
        return _with_losses(outcome, opening, service.terminate())


def _with_losses(outcome: Outcome, opening: PublishReport, ledger: FinalLedger) -> Outcome:
    """Add the losses, by the ledger and the files, of the opening events and the run together."""
    published = opening.published + outcome.report.published
    matching = opening.matching + outcome.report.matching
    lost = max(published - ledger.received, matching - ledger.consumed, matching - ledger.distinct)
    share_kept = min(ledger.received / published, ledger.distinct / matching)
    return replace(
        outcome, ledger=ledger, lost=lost, share_kept=share_kept, calibration=_calibration()
    )


def _calibration() -> float:
    """CPU microseconds to decode one event with msgspec, as in measure.py."""
    raws = synthetic.CurrentEventGenerator(9).one_per_pair(synthetic.address_pairs(20_000))
    return median(cpu_nanos(lambda: calibrate, raws) for _ in range(5)) / len(raws) / 1000
