"""The rate that a backend sustains on a workload, by search: many short runs.

It is searched twice: with nothing lost, and then, for a backend that does lose events, with few
lost, since some peers lose one of a thousand at any rate.
"""

from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.cluster.nats_service import MAX_PUBLISHER_DELAY
from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.peers.backend import Backend
from benchmarks.peers.record import Record, joined
from benchmarks.peers.test_bed import Options, Passage, TestBed
from benchmarks.peers.workloads import Workload
from benchmarks.support.search import search_rate

_LATE_SHARE = 0.2
"""The last line may come after this share of the duration of a run, as in bench_nats.py: a rate is
overestimated by no more than that, however much a backend can hold."""
_LOSSY_SHARE = 0.01
"""Of the matching events, the share that may be lost where losses are forgiven."""
_BURSTS = (300, 3000)
"""Events at once, for the first estimate: fewer than any NATS client holds."""
_BURST_LIMIT = 20.0
_SHORT_BURST = 0.5
"""Seconds; after a shorter one a longer one follows."""
_BURST_SECONDS = 0.01
_FIRST_RUN = 2
"""Events of runs 0 and 1 are probes, and open backlogs."""


class Trial(Struct, frozen=True):
    """A run at one rate; all counts are of its events alone.

    `lines`: matching events with a line; `lost`: those that get none; `pending`: those that were
    not known to be lost when the run ended. `late`: seconds from the end of publishing until the
    last line. `behind`: seconds that the publisher was late at the end. `in_time`: neither was too
    late.
    """

    rate: int
    published: int
    matching: int
    lines: int
    lost: int
    pending: int
    late: float
    behind: float
    cpu_micros: float
    mb: float
    other_cores: float
    in_time: bool

    @property
    def sustained(self) -> bool:
        """Whether publisher and backend kept up, and nothing is missing."""
        return self.in_time and self.lines == self.matching

    @property
    def sustained_with_losses(self) -> bool:
        """Whether publisher and backend kept up, and few events are lost."""
        missing = self.matching - self.lines
        return self.in_time and missing <= self.matching * _LOSSY_SHARE

    @property
    def failure(self) -> str:
        """Why the rate was not sustained; empty if it was."""
        if self.sustained:
            return ""
        if self.lost:
            return f"{self.lost:,} of {self.matching:,} lost"
        if self.behind > MAX_PUBLISHER_DELAY:
            return f"the publisher is {self.behind:.1f} s late"
        return f"{self.pending:,} lines missing" if self.pending else f"{self.late:.1f} s late"


class RateRun(Record, frozen=True):
    """The search for a rate.

    `sustained`: events/s with nothing lost, 0 if no rate was; `failed`: the lowest rate that was
    not. `failure`: why it was not, `lost`: matching events that it lost. `with_losses`: events/s
    that are sustained if 1 in 100 events may be lost; `lost_share`: of the matching events, then.
    `estimate`: events/s in a small burst. `cpu_micros`: CPU time of all its processes for an event,
    at the rate with losses. `trials`: all runs.
    """

    name: str = ""
    sustained: int = 0
    failed: int = 0
    failure: str = ""
    lost: int = 0
    with_losses: int = 0
    lost_share: float = 0.0
    estimate: float = 0.0
    cpu_micros: float | None = None
    trials: tuple[Trial, ...] = ()


def measure(workload: Workload, backend: Backend, repeat: int, options: Options) -> RateRun:
    """Search the rate; BackendStartError when the backend does not start."""
    blank = RateRun(workload.dimension, workload.value, backend.name, repeat, name=workload.name)
    with TestBed.of(backend, workload, options) as bed:
        return _RateSearch(bed, workload, options).run(blank)


class _RateSearch:
    """The search on one test bed; a backend that is still at work after a run is replaced."""

    def __init__(self, bed: TestBed, workload: Workload, options: Options) -> None:
        self._bed, self._workload, self._options = bed, workload, options
        self._trials: dict[int, Trial] = {}
        """By rate: each is tried once."""
        self._runs = count(_FIRST_RUN)
        self._usable = True
        self._note = ""

    def run(self, blank: RateRun) -> RateRun:
        """Open the backlogs, and search."""
        opening = self._bed.open_backlogs(self._workload, self._options.limit)
        if opening.opened < opening.pairs:
            return replace(blank, note=opening.note)
        estimate = self._estimate()
        first = _rounded(estimate)
        limits = search_rate(lambda rate: self._trial(rate).sustained, first)
        lossy = search_rate(lambda rate: self._trial(rate).sustained_with_losses, first)
        failed = self._trial(limits.failed)
        best = self._trial(lossy.sustained) if lossy.sustained else None
        return replace(
            blank,
            sustained=limits.sustained,
            failed=limits.failed,
            failure=failed.failure,
            lost=failed.lost,
            with_losses=lossy.sustained,
            lost_share=1 - best.lines / best.matching if best else 0.0,
            estimate=estimate,
            cpu_micros=best.cpu_micros if best else None,
            other_cores=max(trial.other_cores for trial in self._trials.values()),
            trials=tuple(self._trials.values()),
            note=joined(opening.note, self._note),
        )

    def _estimate(self) -> float:
        """Events per second in a burst that every NATS client holds."""
        rate = 1.0
        for events in _BURSTS:
            passage = self._publish(int(events / _BURST_SECONDS), _BURST_SECONDS, _BURST_LIMIT)
            seconds = passage.last_line - passage.start
            rate = events * passage.lines / passage.report.matching / seconds
            if seconds > _SHORT_BURST:
                break
        return rate

    def _trial(self, rate: int) -> Trial:
        """The run at this rate."""
        if rate not in self._trials:
            self._trials[rate] = self._run_trial(rate)
        return self._trials[rate]

    def _run_trial(self, rate: int) -> Trial:
        seconds = self._options.seconds
        passage = self._publish(rate, seconds, self._options.limit)
        late = max(0.0, passage.last_line - passage.report.end)
        published_in_time = passage.report.final_delay <= MAX_PUBLISHER_DELAY
        return Trial(
            rate=rate,
            published=passage.report.published,
            matching=passage.report.matching,
            lines=passage.lines,
            lost=passage.lost,
            pending=passage.pending,
            late=late,
            behind=passage.report.final_delay,
            cpu_micros=passage.cpu_micros,
            mb=self._bed.running.memory(),
            other_cores=passage.other_cores,
            in_time=published_in_time and passage.settled and late <= seconds * _LATE_SHARE,
        )

    def _publish(self, rate: int, seconds: float, limit: float) -> Passage:
        """A run at this rate, with a new backend if the last run left one that is not usable."""
        if not self._usable:
            if not self._bed.running.alive:
                self._note = f"it ended: {self._bed.running.last_error()}"
            self._bed.restart()
            self._bed.open_backlogs(self._workload, self._options.limit)
        plan = self._workload.bursts(self._bed.server.port, next(self._runs), rate, seconds)
        with PublisherProcess(plan) as publisher:
            passage = self._bed.observe(plan, publisher, limit)
        self._usable = passage.settled
        return passage


def _rounded(rate: float) -> int:
    """The rate with two digits."""
    digits = max(0, len(f"{rate:.0f}") - 2)
    return max(1, int(round(rate, -digits)))
