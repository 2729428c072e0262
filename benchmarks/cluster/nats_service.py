"""The service as a cluster backend: fed over NATS, configured by a frontend, on this machine."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Self, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.cluster.publisher import SUBJECT, Plan, Report, due_time
from benchmarks.pipeline.http_service import LiveMaker
from benchmarks.support import workload
from benchmarks.support.measure import calibration, cpu_nanos
from benchmarks.support.service_process import (
    ROOT,
    FileTail,
    LedgerReport,
    LineCounter,
    ServiceProcess,
    cpu_seconds,
    machine_seconds,
)
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer

OPTIONS = ("--workers=2", "--node=bench", "--mode=cluster-backend", "--config-dir=configs")
PATIENCE = 2.0
"""Seconds after the end of publishing within which all has to be in the file."""
BEHIND = 0.25
"""Seconds behind its schedule that a publisher may be at the end."""
_GIVE_UP = 5.0
"""Seconds without a new line after which no more are waited for."""
_LEAD = 0.2
"""Seconds from telling a publisher to begin until it does."""
_NOTE_SECONDS = 0.25
SERVICE = ("router", "worker", "supervisor", "helper")
"""The kinds of process that are the service's."""


class Load(Struct, frozen=True):
    """Directives, and events for them: first one of each pair to open its backlog, then at a rate.

    `sids`: the signatures of events that match. `sources`: files of lookup sources, by name.
    """

    directives: bytes
    rate: int
    share: float
    sids: tuple[int, ...]
    pairs: int = 400
    sources: Mapping[str, bytes] = {}

    def opening(self, port: int) -> Plan:
        """Each pair once, 5,000 a second."""
        seconds = self.pairs / 5000
        return Plan(port, 1, 5000, seconds, 1.0, self.sids, self.pairs, in_order=True)

    def plan(self, port: int, seconds: float) -> Plan:
        """The run itself."""
        return Plan(port, 2, self.rate, seconds, self.share, self.sids, self.pairs)


class Outcome(Struct, frozen=True):
    """How a run of so many seconds went.

    `late`: seconds from the end of publishing until the last line, if it came. `cpu`: seconds by
    kind of process, the nats-server and the publisher too; `others`: cores of all else meanwhile.
    `draw_latencies`: from when an event was due until its line, if that was asked for. `pss`: bytes
    of the service at the end of the run. `lost`: events not received, or without a line of their
    own; `there`: the share of those that are not lost. `calibration`: microseconds, right after it.
    """

    plan: Plan
    report: Report
    late: float | None
    cpu: Mapping[str, float]
    others: float
    draw_latencies: Sequence[float]
    pss: int
    account: LedgerReport
    lost: int
    there: float
    calibration: float

    @property
    def whole(self) -> bool:
        """Whether no event was lost, none is there twice, and the ledger says so."""
        account = self.account
        well = account.code == 0 and account.adds_up and not account.gone
        return well and self.lost == 0 and account.lines == account.different

    @property
    def sustained(self) -> bool:
        """Whether all of it was done in time."""
        kept = self.report.behind_end <= BEHIND
        return kept and self.whole and self.late is not None and self.late <= PATIENCE

    @property
    def rate(self) -> float:
        """Events a second: the plan's when sustained, else what of it came through."""
        if self.sustained:
            return self.plan.rate
        late = 0.0 if self.late is None else self.late  # the rest of the lines never came
        seconds = self.plan.seconds + self.report.behind_end + late
        return self.report.published * self.there / seconds

    def micros(self, *kinds: str) -> float:
        """CPU of these kinds of process for an event that was published."""
        return sum(self.cpu[kind] for kind in kinds) * 1e6 / self.report.published


class PublisherProcess:
    """A publisher's process, which has prepared its events when this is made."""

    def __init__(self, plan: Plan) -> None:
        command = (sys.executable, str(ROOT / "benchmarks/cluster/publisher.py"))
        self._process = subprocess.Popen(
            (*command, msgspec.json.encode(plan).decode()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._answer() != b"ready\n":
            raise RuntimeError("the publisher is not ready")

    def begin(self) -> float:
        """Let it begin; returns when that is, on the monotonic clock."""
        assert self._process.stdin is not None
        start = time.monotonic() + _LEAD
        self._process.stdin.write(f"{start}\n".encode())
        self._process.stdin.flush()
        return start

    @property
    def published(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def report(self) -> Report:
        """What it says at its end."""
        return msgspec.json.decode(self._answer(), type=Report)

    def _answer(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


class NatsService(ServiceProcess):
    """A running service, subscribed to the events."""

    def __init__(self, server: NatsServer, frontend: Frontend, *options: str) -> None:
        urls = (f"--frontend={frontend.url}", f"--msq={server.url}")
        super().__init__(*OPTIONS, *urls, *options)
        server.wait_for_subscribers(SUBJECT)
        self._server = server
        self._expected = 0

    def under(self, plan: Plan, tail: bool = False) -> Outcome:
        """One run of a publisher, until all lines are there; lost events are not known yet."""
        with PublisherProcess(plan) as publishing, ExitStack() as stack:
            seen = stack.enter_context(FileTail(self.alarm_events)).seen if tail else {}
            before, busy, since = self._cpu(), machine_seconds(), time.monotonic()
            start = publishing.begin()
            while not publishing.published:
                self.lines.count()
                time.sleep(_NOTE_SECONDS)
            report = publishing.report()
            last = self._await(report.matching)
            cpu = {kind: used - before[kind] for kind, used in self._cpu().items()}
            passed, busy = time.monotonic() - since, machine_seconds() - busy
        return Outcome(
            plan=plan,
            report=report,
            late=None if last is None else last - report.end,
            cpu=cpu | {"publisher": report.cpu},
            others=max(0.0, busy - sum(cpu.values()) - report.cpu) / passed,
            draw_latencies=[at - start - due_time(line) for line, at in seen.items()],
            pss=self.pss(),
            account=LedgerReport(0, True, 0, 0, 0, 0, {}),
            lost=0,
            there=1.0,
            calibration=0.0,
        )

    def _cpu(self) -> dict[str, float]:
        """By kind of process; this one only watches."""
        known = {"nats-server": cpu_seconds(self._server.pid), "watching": time.process_time()}
        return {**self.cpu(), **known}

    def _await(self, more: int) -> float | None:
        """Wait for so many more lines; returns when they were there, None if they did not come."""
        self._expected += more
        return _reached(self.lines, self._expected)


C = TypeVar("C", bound=NatsService)


def _reached(lines: LineCounter, number: int) -> float | None:
    known, since = -1, time.monotonic()
    while (count := lines.count()) < number:
        now = time.monotonic()
        if count > known:
            known, since = count, now
        if now - since > _GIVE_UP:
            return None
        time.sleep(0.005)
    return time.monotonic()


@contextmanager
def serving(
    load: Load, kind: Callable[[NatsServer, Frontend], C]
) -> Iterator[tuple[C, NatsServer, Report]]:
    """A service and all that it needs, with every pair's backlog open; what opened them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(NatsServer(folder))
        frontend = stack.enter_context(Frontend())
        frontend.files["assets_bench.json"] = workload.assets()
        frontend.files["directives_bench_all.json"] = load.directives
        frontend.files.update(load.sources)
        service = kind(server, frontend)
        stack.callback(service.kill)
        yield service, server, service.under(load.opening(server.port)).report


def run(load: Load, seconds: float, tail: bool = False, options: Sequence[str] = ()) -> Outcome:
    """A service from start to end, under this load for so long."""
    with serving(load, lambda *places: NatsService(*places, *options)) as (service, server, opened):
        outcome = service.under(load.plan(server.port, seconds), tail)
        return _settled(outcome, opened, service.end())


def _settled(outcome: Outcome, opened: Report, account: LedgerReport) -> Outcome:
    """With what the ledger and the files say of both runs together."""
    published = opened.published + outcome.report.published
    matching = opened.matching + outcome.report.matching
    lost = max(
        published - account.received, matching - account.consumed, matching - account.different
    )
    there = min(account.received / published, account.different / matching)
    return replace(outcome, account=account, lost=lost, there=there, calibration=_calibration())


def _calibration() -> float:
    """Microseconds of CPU for decoding one event with msgspec, as measure.py has it."""
    raws = LiveMaker(9).one_each(workload.pairs(20_000))
    return median(cpu_nanos(lambda: calibration, raws) for _ in range(5)) / len(raws) / 1000
