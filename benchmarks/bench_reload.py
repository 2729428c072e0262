"""Reloads of a large configuration while events flow: `python benchmarks/bench_reload.py`.

A service in cluster-backend mode with two workers takes evenly spaced events over NATS, 1 in 10 of
them matching. One directive of many changes, and POST /reload loads the new configuration from the
frontend. The latency is that of bench_latency.py; memory is read in a run of its own, since reading
it takes a good part of a core.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec import Struct

from benchmarks.cluster.nats_service import SIDS, Load, running_service
from benchmarks.latency.paced_publisher import PacedPlan
from benchmarks.latency.percentiles import LatencyHistogram
from benchmarks.reload.memory_sampler import MemorySampler
from benchmarks.reload.reload_run import (
    AFTERWARDS_SECONDS,
    REPEAT_SECONDS,
    ChangingDirectives,
    ReloadingService,
    TimedRun,
)
from benchmarks.support import report
from benchmarks.support.measure import Figure
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer, free_port

_RESULTS = Path(__file__).parent / "results" / "bench_reload.json"
_SHARE = 0.1
_SAMPLE_SECONDS = 0.02
_IDLE_SECONDS = 4.0
"""Time after the events, in whose second half memory is read."""
_RELOAD_SECONDS_TARGET = 2.0
_LATENCY_TARGET = 50.0
"""Milliseconds at p99 around reloads."""
_MEMORY_TARGET = 1.5
"""Peak memory during reloads, to that before."""


class Runs(Struct, frozen=True):
    """Runs of one service: without reloads, with reloads, and with reloads and memory samples."""

    quiet: TimedRun
    reloading: TimedRun
    sampled: TimedRun
    memory: "Memory"


class Memory(Struct, frozen=True):
    """Bytes of memory of all processes: before the first reload, highest, and after the last."""

    before: float
    peak: float
    after: float


def measure(directives: int, rate: int, reloads: int) -> Runs:
    """Run a service with so many directives at this rate, and reload it so many times."""
    changing = ChangingDirectives(directives)

    def create(server: NatsServer, frontend: Frontend) -> ReloadingService:
        return ReloadingService(server, frontend, free_port())

    load = Load(changing.next(), rate, _SHARE, SIDS)
    with running_service(load, create) as (service, server, opening):

        def plan(run: int, seconds: float) -> PacedPlan:
            return PacedPlan(server.port, run, rate, seconds, _SHARE, SIDS, load.pairs)

        def documents() -> list[bytes]:
            return [changing.next() for _ in range(reloads)]  # made before: that takes time

        seconds = REPEAT_SECONDS * reloads
        quiet = service.run_timed(plan(2, seconds))
        reloading = service.run_timed(plan(3, seconds), documents(), changing.changing)
        with service.sampled(_SAMPLE_SECONDS) as sampler:
            sampled = service.run_timed(plan(4, seconds), documents(), changing.changing)
            time.sleep(_IDLE_SECONDS)
        ledger = service.terminate()
    runs = quiet, reloading, sampled
    published = opening.published + sum(run.report.published for run in runs)
    if ledger.exit_code or not ledger.adds_up or ledger.received != published:
        raise RuntimeError(f"events are not accounted for: {published} published, {ledger}")
    return Runs(*runs, _memory(sampler, sampled))


def _memory(sampler: MemorySampler, run: TimedRun) -> Memory:
    first, last = run.reloads[0].asked, run.reloads[-1].answered
    return Memory(
        sampler.median_between(first - REPEAT_SECONDS / 2, first),
        sampler.peak_between(first, last + AFTERWARDS_SECONDS),
        sampler.median_between(sampler.samples[-1].at - _IDLE_SECONDS / 2, float("inf")),
    )


def _figures(directives: int, rate: int, runs: Runs) -> Iterator[Figure]:
    seconds = [one.seconds for one in runs.reloading.reloads]
    name = f"{directives:,} directives, one changed: reload"
    yield Figure("reload", name, median(seconds), "s", _RELOAD_SECONDS_TARGET)
    yield Figure("reload", "  the longest", max(seconds), "s")
    lost = runs.quiet.lost + runs.reloading.lost + runs.sampled.lost
    yield Figure("reload", "  events lost", lost, "", 0)
    latencies = [latency for _, latency in runs.quiet.timed]
    yield from _latencies(f"{rate:,} events/s, without reloads", latencies)
    yield from _latencies("  around reloads", runs.reloading.around_reloads(), _LATENCY_TARGET)
    behind = max(runs.quiet.report.max_delay, runs.reloading.report.max_delay)
    yield Figure("latency", "  publisher behind, at most", behind * 1000, "ms")
    memory = runs.memory
    yield Figure("memory", "memory before reloads", memory.before / 1e6, "MB")
    yield Figure("memory", "  highest during reloads", memory.peak / 1e6, "MB")
    ratio = memory.peak / memory.before
    yield Figure("memory", "    to that before", ratio, "×", _MEMORY_TARGET)
    yield Figure("memory", "  after the last reload", memory.after / 1e6, "MB")


def _latencies(
    name: str, latencies: Sequence[float], target: float | None = None
) -> Iterator[Figure]:
    histogram = LatencyHistogram(latencies)
    yield Figure("latency", f"{name}: p50", histogram.at(50), "ms")
    yield Figure("latency", "    p99", histogram.at(99), "ms", target)
    yield Figure("latency", "    max", histogram.at(100), "ms")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=_RESULTS, help="file for the figures")
    parser.add_argument("--quick", action="store_true", help="two reloads in each run, not five")
    parser.add_argument("--directives", type=int, default=23_500, help="number of them")
    parser.add_argument("--rate", type=int, default=20_000, help="events/s")
    return parser


def main() -> int:
    """Run the service; returns 0, or 1 if a target is missed."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # inherited by all children
    runs = measure(arguments.directives, arguments.rate, 2 if arguments.quick else 5)
    figures = list(_figures(arguments.directives, arguments.rate, runs))
    judged = not arguments.quick
    report.show(figures, "dsiem-shards: reloads while events flow", judged=judged)
    report.save(figures, arguments.json, reloads=[one.seconds for one in runs.reloading.reloads])
    return int(judged and any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
