"""Observes all processes, and makes the overview for health, metrics and status.

It only records: the ledger belongs to ledger_aggregator.py, decisions to supervisor.py.
"""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from itertools import chain

from msgspec import Struct, field

from shards.config.generation import ConfigChanges
from shards.histograms import Timings
from shards.ipc.messages import AlarmLines, WorkerReport
from shards.ipc.queries import AlarmAbout
from shards.ledger import Deliveries
from shards.ops.live_stats import LiveStats
from shards.ops.overview import Overview, ProcessStatus, ShardStatus
from shards.ops.reload_outcome import ReloadOutcome
from shards.settings.settings import Settings, settings_of
from shards.supervisor.alarm_writer import AlarmWriter
from shards.supervisor.generations import Generation
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.supervisor.progress_monitor import ProgressMonitor
from shards.version import version

ROUTER = "router"
"""Name of the router process."""
MAX_LATEST_ALARMS = 100
"""Number of alarms that are kept to be shown."""
SAMPLE_SECONDS = 1.0
_RATE_SAMPLES = 6
"""Rates are averages over the last five seconds."""
_ALARM_ID_OFFSET = len(b'{"alarm_id":"')


def worker_name(number: int) -> str:
    """Name of a worker process."""
    return f"worker-{number}"


class _Process(Struct):
    up: bool = False
    ready: bool = False
    starts: int = 0
    messages: int = 0
    heard_at: float = 0.0
    progress: ProgressMonitor = field(default_factory=lambda: ProgressMonitor(0.0))


class _Sample(Struct, frozen=True):
    at: float
    received: int
    processed: dict[int, int]
    """Deliveries by worker."""


class Observer:
    """Records starts, reports and ends of processes; `overview` is the state of the service."""

    def __init__(
        self,
        settings: Settings,
        first: Generation,
        aggregator: LedgerAggregator,
    ) -> None:
        """`first`: the configuration to begin with."""
        self._settings = settings
        self._generation = first
        self._loaded_at = time.time()
        self._last_reload: ReloadOutcome | None = None
        self._reloads: Counter[str] = Counter()
        self._aggregator = aggregator
        self._started_at = time.monotonic()
        self._router = _Process()
        self._workers = [_Process() for _ in first.summary.directives]
        self._timings = Timings()
        self._alarms: Counter[str] = Counter(Low=0, Medium=0, High=0)
        self.stats = LiveStats()
        """By directive; without --metrics-per-directive nobody adds to them."""
        self._checkpoints: dict[int, float] = {}
        self._checkpoint_troubles: dict[int, str] = {}
        """By worker, of those that cannot write checkpoints."""
        self._latest: OrderedDict[bytes, bytes] = OrderedDict()
        self.on_alarms: Callable[[bytes, Mapping[str, AlarmAbout]], None] | None = None
        """Called with lines of alarms that are written, and what is known of alarms."""
        self.otel_dropped: Mapping[str, int] | None = None
        """What was not exported, by kind; kept up to date by the owner; None without telemetry."""
        self._samples: deque[_Sample] = deque(maxlen=_RATE_SAMPLES)

    def use(self, generation: Generation, changes: ConfigChanges) -> None:
        """A configuration was loaded without a fault, and runs; `changes`: since the one before."""
        self._generation = generation
        self._loaded_at = time.time()
        loaded = chain.from_iterable(generation.summary.directives)
        self.stats.use(loaded, changes.removed)

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """A reload has ended."""
        self._last_reload = outcome
        self._reloads[outcome.result] += 1

    @property
    def directives(self) -> int:
        """Number of directives of all workers."""
        return sum(map(len, self._generation.summary.directives))

    def _process(self, worker: int | None) -> _Process:
        """The record of a worker, or of the router (None)."""
        return self._router if worker is None else self._workers[worker]

    def started(self, worker: int | None) -> None:
        """A worker, or the router (None), has been started."""
        process, now = self._process(worker), time.monotonic()
        process.up, process.ready, process.heard_at = True, False, now
        process.progress = ProgressMonitor(now)
        process.starts += 1

    def ready(self, worker: int | None) -> None:
        """The process is ready for events."""
        self._process(worker).ready = True
        self.heard(worker)

    def heard(self, worker: int | None) -> None:
        """The process has sent a message."""
        process = self._process(worker)
        process.messages += 1
        process.heard_at = time.monotonic()

    def ended(self, worker: int | None) -> None:
        """The process has ended."""
        process = self._process(worker)
        process.up = process.ready = False
        if worker is None:
            self.stats.router_ended()
        else:
            self._checkpoint_troubles.pop(worker, None)

    def seconds_silent(self, worker: int | None) -> float:
        """Seconds since its last report, or since its start."""
        return time.monotonic() - self._process(worker).heard_at

    def sample_progress(self, worker: int | None, *, waits_for_supervisor: bool = False) -> float:
        """Record the progress of a process; returns the seconds for which it has made none."""
        process, now = self._process(worker), time.monotonic()
        if waits_for_supervisor:
            process.progress.excuse(now)
        else:
            processed, waiting = 0, False
            if worker is not None and process.ready:
                report = self._aggregator.workers.get(worker)
                processed = report.ledger.deliveries.processed if report else 0
                waiting = self._aggregator.has_waiting_events(worker)
            process.progress.sample(now, process.messages, processed, waiting=waiting)
        return process.progress.stalled_seconds

    def wrote(self, worker: int, report: AlarmLines) -> None:
        """The lines of a worker's report are in the alarm files."""
        about = report.about if isinstance(report, WorkerReport) else {}
        if self.on_alarms is not None and (report.alarms or about):
            self.on_alarms(report.alarms, about)
        if report.alarms:
            self._keep_latest(report.alarms)
        if isinstance(report, WorkerReport) and (details := report.details) is not None:
            self._timings.add(details.timings)
            self._alarms.update(details.alarms)
            self.stats.add(details.directives)
            if details.checkpoint_at:
                self._checkpoints[worker] = details.checkpoint_at
            self._checkpoint_troubles.pop(worker, None)
            if details.checkpoint_trouble:
                self._checkpoint_troubles[worker] = details.checkpoint_trouble

    def _keep_latest(self, lines: bytes) -> None:
        """Keep the last line of each of the latest alarms."""
        for line in lines.splitlines()[-MAX_LATEST_ALARMS:]:
            key = line[_ALARM_ID_OFFSET : line.find(b'"', _ALARM_ID_OFFSET)]
            self._latest.pop(key, None)
            self._latest[key] = line
        while len(self._latest) > MAX_LATEST_ALARMS:
            self._latest.popitem(last=False)

    def sample(self) -> None:
        """Record the totals for the rates; to be called every SAMPLE_SECONDS."""
        workers = self._aggregator.workers.items()
        processed = {worker: report.ledger.deliveries.processed for worker, report in workers}
        received = self._aggregator.total().events.received
        self._samples.append(_Sample(time.monotonic(), received, processed))

    def overview(self, alarm_writer: AlarmWriter, *, stopping: bool) -> Overview:
        """The present state of the service."""
        settings, summary = self._settings, self._generation.summary
        names = [row.name for row in settings_of("serve")]
        return Overview(
            version=version(),
            now=time.time(),
            uptime=time.monotonic() - self._started_at,
            settings={name: settings.redacted(name) for name in names},
            config_hash=summary.hash,
            config_trouble=summary.trouble,
            config_files=summary.files,
            config_generation=self._generation.number,
            config_loaded_at=self._loaded_at,
            last_reload=self._last_reload,
            reloads=self._reloads,
            hang_timeout=settings.hang_timeout,
            directives=self.directives,
            rejected_directives=summary.rejected,
            ledger=self._aggregator.total(),
            timings=self._timings,
            alarms_written=self._alarms,
            stats=self.stats if settings.metrics_per_directive else None,
            events_per_second=self._rate(None),
            router=_process_status(ROUTER, self._router),
            workers=[
                _process_status(worker_name(n), process) for n, process in enumerate(self._workers)
            ],
            shards=[self._shard(number) for number in range(len(self._workers))],
            uses_nats=settings.mode == "cluster-backend",
            source_connected=self._aggregator.connected,
            stream_lag=self._aggregator.lag if settings.stream else None,
            output_trouble=alarm_writer.trouble,
            output_errors=alarm_writer.errors,
            oldest_checkpoint_at=self._oldest_checkpoint(),
            checkpoint_troubles={
                worker_name(number): trouble
                for number, trouble in sorted(self._checkpoint_troubles.items())
            },
            stopping=stopping,
            latest_alarms=tuple(self._latest.values()),
            otel_dropped=self.otel_dropped,
        )

    def _oldest_checkpoint(self) -> float:
        if len(self._checkpoints) < len(self._workers):
            return 0.0
        return min(self._checkpoints.values())

    def _shard(self, number: int) -> ShardStatus:
        report = self._aggregator.workers.get(number)
        deliveries = report.ledger.deliveries if report else Deliveries()
        return ShardStatus(
            worker=number,
            directives=len(self._generation.summary.directives[number]),
            active_directives=report.active_directives if report else 0,
            backlogs=report.ledger.backlogs["open"] if report else 0,
            queue=self._aggregator.queue_length(number),
            queue_capacity=self._settings.max_queue,
            has_pipe=self._aggregator.has_pipe(number),
            events_per_second=self._rate(number),
            consumed=deliveries.consumed,
            unmatched=deliveries.unmatched,
            invalid=deliveries.invalid.total(),
        )

    def _rate(self, worker: int | None) -> float:
        """Recent events per second of a worker, or received by the service (None)."""
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[0], self._samples[-1]
        if worker is None:
            number = last.received - first.received
        else:
            number = last.processed.get(worker, 0) - first.processed.get(worker, 0)
        return max(0.0, number / (last.at - first.at))


def _process_status(name: str, process: _Process) -> ProcessStatus:
    return ProcessStatus(
        name=name,
        up=process.up,
        ready=process.ready,
        restarts=max(0, process.starts - 1),
        silent_seconds=process.progress.silent_seconds,
        idle_seconds=process.progress.idle_seconds,
    )
