"""Latency, CPU and memory of a backend at a steady rate, with 100 directives, 1 in 10 matching."""

from msgspec.structs import replace

from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.latency.paced_run import run_paced
from benchmarks.latency.percentiles import LatencyHistogram
from benchmarks.peers.backend import Backend
from benchmarks.peers.record import Record, joined
from benchmarks.peers.test_bed import Options, Passage, TestBed
from benchmarks.peers.workloads import Workload

RATES = (1000, 5000, 20_000, 50_000)
QUICK_RATES = (1000, 20_000)
_WORKLOAD = Workload("steady", 0, "steady", 100)
_SECONDS = 8.0
_QUICK_SECONDS = 2.0
_DRAIN_SECONDS = 10.0
"""Time to work on after the last event."""
_LATE_SECONDS = 1.0
"""A backend keeps up if its last line comes at most that late."""


class SteadyRun(Record, frozen=True):
    """Evenly spaced events at a rate (`value`, events/s).

    `p50`, `p90`, `p99`: milliseconds from the time when an event was due until its line could be
    read. `cores`: CPU time of all its processes, by time; `mb`: their memory at the end. `lost`:
    matching events without a line, `pending`: those that had none when the run was ended.
    `kept_up`: nothing is missing, and the last line was not late; if not, the latencies are of
    those events that have a line.
    """

    matching: int = 0
    lines: int = 0
    lost: int = 0
    pending: int = 0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    cores: float = 0.0
    mb: float = 0.0
    kept_up: bool = False


def measure(rate: int, backend: Backend, repeat: int, options: Options) -> SteadyRun:
    """One run at this rate; BackendStartError when the backend does not start."""
    seconds = _QUICK_SECONDS if options.quick else _SECONDS
    blank = SteadyRun("steady", rate, backend.name, repeat)
    with TestBed.of(backend, _WORKLOAD, options) as bed:
        opening = bed.open_backlogs(_WORKLOAD, options.limit)
        plan = _WORKLOAD.paced(bed.server.port, 2, rate, seconds)

        def observe(publisher: PublisherProcess) -> tuple[float, Passage]:
            passage = bed.observe(plan, publisher, _DRAIN_SECONDS)
            return passage.start, passage

        assert bed.running.alarm_events.path is not None, "there is the line of a probe"
        passage, latencies = run_paced(plan, bed.running.alarm_events.path, observe)
        late = passage.last_line - passage.report.end
        complete = passage.lines == passage.report.matching
        run = replace(
            blank,
            matching=passage.report.matching,
            lines=passage.lines,
            lost=passage.lost,
            pending=passage.pending,
            cores=passage.cpu / max(seconds, passage.last_line - passage.start),
            mb=bed.running.memory(),
            kept_up=complete and late <= _LATE_SECONDS,
            other_cores=passage.other_cores,
            note=joined(opening.note, f"{late:.1f} s late" if late > _LATE_SECONDS else ""),
        )
    return _with_percentiles(run, latencies)


def _with_percentiles(run: SteadyRun, latencies: list[float]) -> SteadyRun:
    if not latencies:
        return run
    at = LatencyHistogram(latencies).at
    return replace(run, p50=at(50), p90=at(90), p99=at(99))
