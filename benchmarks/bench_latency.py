"""The time from an event to its line in a file, over NATS: `python benchmarks/bench_latency.py`.

A service in cluster-backend mode with two workers takes events at several rates, 1 in 10 of them
matching. A latency counts from the time at which the event was due, whether or not it could be sent
then, so that pauses of service or publisher are included (no coordinated omission).
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec import Struct

from benchmarks.cluster.nats_service import Load, NatsService, PublisherProcess, serving
from benchmarks.cluster.publisher import Report
from benchmarks.latency.paced_publisher import Pace
from benchmarks.latency.percentiles import Latency, LatencyHistogram
from benchmarks.support import report, workload
from benchmarks.support.measure import Figure
from benchmarks.support.service_process import ROOT, FileTail, LedgerReport, machine_seconds

_RESULTS = Path(__file__).parent / "results" / "bench_latency.json"
_RATES = (1000, 10_000, 50_000)
_SHARE = 0.1
_PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_TARGETS: Mapping[tuple[int, float], float] = {(50_000, 99): 50.0}
"""Milliseconds, by events a second and percentile."""
_SIDS = tuple(workload.FIRST_SID + directive - 1 for directive in (1, 2, 3, 9))
"""Signatures of four directives, two of which live in each of two workers."""
_NOTE_SECONDS = 0.25


class Run(Struct, frozen=True):
    """What is known of a run: `draw_latencies` in seconds, one for each line; `lost`: events
    without one.

    `others`: cores that the rest of the machine used meanwhile.
    """

    pace: Pace
    report: Report
    draw_latencies: Sequence[float]
    others: float
    lost: int = 0


class Pacing(PublisherProcess):
    """A process that publishes evenly, which has prepared its events when this is made."""

    def __init__(self, pace: Pace) -> None:
        command = (sys.executable, str(ROOT / "benchmarks/latency/paced_publisher.py"))
        self._process = subprocess.Popen(
            (*command, msgspec.json.encode(pace).decode()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._answer() != b"ready\n":
            raise RuntimeError("the publisher is not ready")


class Timed(NatsService):
    """A running service whose lines are timed."""

    def timed(self, pace: Pace) -> Run:
        """One run of a publisher, until all lines are there; what was lost is not known yet."""
        with Pacing(pace) as pacing, FileTail(self.alarm_events) as tail:
            used, busy, since = self._used(), machine_seconds(), time.monotonic()
            start = pacing.begin()
            while not pacing.published:
                self.lines.count()
                time.sleep(_NOTE_SECONDS)
            told = pacing.report()
            self._await(told.matching)
            others = machine_seconds() - busy - (self._used() - used) - told.cpu
            others = max(0.0, others) / (time.monotonic() - since)
        draw_latencies = [at - start - pace.due_time(line) for line, at in tail.seen.items()]
        return Run(pace, told, draw_latencies, others)

    def _used(self) -> float:
        return sum(self._cpu().values())


def measured(rate: int, seconds: float) -> Run:
    """A service and all that it needs, from start to end, at this rate for so long."""
    load = Load(workload.directives(100), rate, _SHARE, _SIDS)
    with serving(load, Timed) as (service, server, opened):
        run = service.timed(Pace(server.port, 2, rate, seconds, _SHARE, _SIDS, load.pairs))
        return _settled(run, opened, service.end())


def _settled(run: Run, opened: Report, account: LedgerReport) -> Run:
    """With what was lost, by what the ledger and the files say of both publishers' events."""
    if account.code or not account.adds_up or account.lines != account.different:
        raise RuntimeError(f"not all is accounted for: {account}")
    published = opened.published + run.report.published
    matching = opened.matching + run.report.matching
    lost = max(published - account.received, matching - account.different, 0)
    return msgspec.structs.replace(run, lost=lost)


def _figures(run: Run, draw_latencies: LatencyHistogram) -> Iterator[Figure]:
    rate = run.pace.rate
    section = str(rate)
    yield Figure(section, f"{rate:,} events/s: lines timed", len(run.draw_latencies), "")
    for percentile in _PERCENTILES:
        target = _TARGETS.get((rate, percentile))
        yield Figure(section, f"  p{percentile:g}", draw_latencies.at(percentile), "ms", target)
    yield Figure(section, "  max", draw_latencies.at(100), "ms")
    yield Figure(section, "  events lost", run.lost, "", 0)
    yield Figure(section, "  publisher behind, at most", run.report.behind * 1000, "ms")
    yield Figure(section, "  other work on the cores", run.others, "cores")


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
    """Run at each rate; 0 when every target is met, else 1."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # all children too
    seconds = 5 if arguments.quick else 30
    figures: list[Figure] = []
    latencies: list[Latency] = []
    for rate in arguments.rates:
        run = measured(rate, seconds)
        draw_latencies = LatencyHistogram(run.draw_latencies)
        figures += _figures(run, draw_latencies)
        latencies.append(
            Latency(rate, seconds, len(run.draw_latencies), run.lost, draw_latencies.points())
        )
    title = "dsiem-shards: from an event to its line"
    report.show(figures, title, judged=not arguments.quick)
    report.save(figures, arguments.json, latencies=latencies)
    return int(not arguments.quick and any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
