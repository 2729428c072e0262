"""Start, idle memory and stop of the service: `python benchmarks/bench_start.py`.

A service in cluster-backend mode with two workers and checkpoints gets its configuration from a
frontend and subscribes to NATS. It is started and stopped several times with each number of
directives; the figures are medians. A start counts from the exec of the command until nats-server
shows the subscription.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec import Struct

from benchmarks.cluster.nats_service import SERVICE_KINDS, NatsService
from benchmarks.support import report, synthetic
from benchmarks.support.measure import Figure
from benchmarks.support.service_process import DEADLINE
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer

_RESULTS = Path(__file__).parent / "results" / "bench_start.json"
_DIRECTIVES = (100, 10_000, 23_500)
_SUBJECT = "dsiem_events"
_POLL_SECONDS = 0.005
_IDLE_SECONDS = 3.0
"""Time after the start until memory is read: the first checkpoints are written by then."""
_START_TARGETS = {100: 0.4, 23_500: 1.5}
"""Seconds by number of directives."""
_MEMORY_TARGETS = {100: 80.0, 10_000: 160.0, 23_500: 300.0}
"""Megabytes by number of directives."""


class Start(Struct, frozen=True):
    """One start: seconds until subscribed and for the stop, CPU seconds, PSS in bytes by kind."""

    seconds: float
    cpu: float
    pss: dict[str, int]
    stop_seconds: float


class _Subscription(Thread):
    """Waits until a server shows the subscription; `at`: when, on the monotonic clock."""

    def __init__(self, server: NatsServer) -> None:
        super().__init__(daemon=True)
        self.at = 0.0
        self._server = server

    def run(self) -> None:
        """Ask the server every few milliseconds."""
        while not self._server.subscribers(_SUBJECT):
            time.sleep(_POLL_SECONDS)
        self.at = time.monotonic()


def measure(directives: int) -> Start:
    """Start a service with so many directives, let it be idle, and stop it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(NatsServer(folder))
        frontend = stack.enter_context(Frontend())
        frontend.files["assets_bench.json"] = synthetic.assets()
        frontend.files["directives_bench_all.json"] = synthetic.directives(directives)
        subscription = _Subscription(server)
        subscription.start()
        service = NatsService(server, frontend)
        stack.callback(service.kill)
        subscription.join(DEADLINE)
        cpu = sum(service.cpu_by_kind().values())
        time.sleep(_IDLE_SECONDS)
        pss = service.pss_by_kind()
        since = time.monotonic()
        ledger = service.terminate()
        if ledger.exit_code or not ledger.adds_up:
            raise RuntimeError(f"the service did not start and stop in good order: {ledger}")
        stopped = time.monotonic() - since
    return Start(subscription.at - service.started, cpu, pss, stopped)


def _figures(directives: int, starts: list[Start]) -> Iterator[Figure]:
    def middle(name: str, value: float, unit: str, target: float | None = None) -> Figure:
        return Figure(str(directives), name, value, unit, target)

    seconds = median(start.seconds for start in starts)
    memory = median(sum(start.pss.values()) for start in starts) / 1e6
    yield middle(
        f"{directives:,} directives: subscribed", seconds, "s", _START_TARGETS.get(directives)
    )
    yield middle("  CPU time of the start", median(start.cpu for start in starts), "s")
    yield middle("  memory when idle (PSS)", memory, "MB", _MEMORY_TARGETS.get(directives))
    for kind in SERVICE_KINDS:
        yield middle(f"    {kind}", median(start.pss[kind] for start in starts) / 1e6, "MB")
    yield middle("  stop", median(start.stop_seconds for start in starts), "s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=_RESULTS, help="file for the figures")
    parser.add_argument("--repeats", type=int, default=3, help="starts for each number")
    parser.add_argument(
        "--directives", type=_numbers, default=_DIRECTIVES, metavar="N,N", help="numbers of them"
    )
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def main() -> int:
    """Measure all; returns 0, or 1 if a target is missed."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # inherited by all children
    figures: list[Figure] = []
    for directives in arguments.directives:
        starts = [measure(directives) for _ in range(arguments.repeats)]
        figures += _figures(directives, starts)
    report.show(figures, "dsiem-shards: start, idle and stop")
    report.save(figures, arguments.json)
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
