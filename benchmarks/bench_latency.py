"""The time from an event to its line in a file, over NATS: `python benchmarks/bench_latency.py`.

A service in cluster-backend mode with two workers takes events at several rates, 1 in 10 of them
matching. A latency counts from the time at which the event was due, whether or not it could be sent
then, so that pauses of service or publisher are included (no coordinated omission).
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.cluster.nats_service import SIDS, Load, NatsService, running_service
from benchmarks.cluster.publisher import PublishReport
from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.latency.paced_publisher import PacedPlan
from benchmarks.latency.paced_run import run_paced
from benchmarks.latency.percentiles import LatencyHistogram, RateLatencies
from benchmarks.support import report, synthetic
from benchmarks.support.measure import Figure
from benchmarks.support.service_process import FinalLedger, machine_cpu_seconds

_RESULTS = Path(__file__).parent / "results" / "bench_latency.json"
_RATES = (1000, 10_000, 50_000)
_SHARE = 0.1
_PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_TARGETS: Mapping[tuple[int, float], float] = {(50_000, 99): 50.0}
"""Milliseconds by events per second and percentile."""


class Run(Struct, frozen=True):
    """The figures of a run.

    `latencies`: seconds, one for each line. `other_cores`: cores that the rest of the machine used.
    `lost`: events without a line.
    """

    plan: PacedPlan
    report: PublishReport
    latencies: Sequence[float]
    other_cores: float
    lost: int = 0


class TimedService(NatsService):
    """A running service whose latencies are measured."""

    def run_paced(self, plan: PacedPlan) -> Run:
        """Publish a plan, and wait for all lines; losses are not known before the service stops."""

        def observe(publisher: PublisherProcess) -> tuple[float, tuple[PublishReport, float]]:
            used, machine, since = self._used(), machine_cpu_seconds(), time.monotonic()
            start = publisher.start()
            published, _ = self._wait_for_run(publisher)
            used, machine = self._used() - used, machine_cpu_seconds() - machine
            others = max(0.0, machine - used - published.cpu) / (time.monotonic() - since)
            return start, (published, others)

        (published, others), latencies = run_paced(plan, self.alarm_events, observe)
        return Run(plan, published, latencies, others)

    def _used(self) -> float:
        return sum(self._cpu().values())


def measure(rate: int, seconds: float) -> Run:
    """Start a service, run it at this rate for `seconds`, and stop it."""
    load = Load(synthetic.directives(100), rate, _SHARE, SIDS)
    with running_service(load, TimedService) as (service, server, opening):
        run = service.run_paced(PacedPlan(server.port, 2, rate, seconds, _SHARE, SIDS, load.pairs))
        return _with_losses(run, opening, service.terminate())


def _with_losses(run: Run, opening: PublishReport, ledger: FinalLedger) -> Run:
    """Add the losses, by the ledger and the files, of the opening events and the run together."""
    if ledger.exit_code or not ledger.adds_up or ledger.lines != ledger.distinct:
        raise RuntimeError(f"events are not accounted for: {ledger}")
    published = opening.published + run.report.published
    matching = opening.matching + run.report.matching
    return replace(run, lost=max(published - ledger.received, matching - ledger.distinct, 0))


def _figures(run: Run, histogram: LatencyHistogram) -> Iterator[Figure]:
    rate = run.plan.rate
    section = str(rate)
    yield Figure(section, f"{rate:,} events/s: lines timed", len(run.latencies), "")
    for percentile in _PERCENTILES:
        target = _TARGETS.get((rate, percentile))
        yield Figure(section, f"  p{percentile:g}", histogram.at(percentile), "ms", target)
    yield Figure(section, "  max", histogram.at(100), "ms")
    yield Figure(section, "  events lost", run.lost, "", 0)
    yield Figure(section, "  publisher behind, at most", run.report.max_delay * 1000, "ms")
    yield Figure(section, "  other work on the cores", run.other_cores, "cores")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=_RESULTS, help="file for the figures")
    parser.add_argument("--quick", action="store_true", help="5 seconds for each rate, not 30")
    parser.add_argument(
        "--rates", type=_rates, default=_RATES, metavar="N,N", help="events/s, each a run"
    )
    return parser


def _rates(text: str) -> tuple[int, ...]:
    rates = tuple(int(rate) for rate in text.split(","))
    if min(rates) < 1:
        raise argparse.ArgumentTypeError("rates are events a second, 1 or more")
    return rates


def main() -> int:
    """Run at each rate; returns 0, or 1 if a target is missed."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # inherited by all children
    seconds = 5 if arguments.quick else 30
    figures: list[Figure] = []
    latencies: list[RateLatencies] = []
    for rate in arguments.rates:
        run = measure(rate, seconds)
        histogram = LatencyHistogram(run.latencies)
        figures += _figures(run, histogram)
        lines = len(run.latencies)
        latencies.append(RateLatencies(rate, seconds, lines, run.lost, histogram.points()))
    title = "dsiem-shards: from an event to its line"
    report.show(figures, title, judged=not arguments.quick)
    report.save(figures, arguments.json, latencies=latencies)
    return int(not arguments.quick and any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
