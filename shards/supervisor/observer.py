"""What the supervisor sees of all processes, gathered for whoever asks how it goes.

May live here: counts and times that nobody else keeps. May not: the ledger (accounts.py), and how
things are shown. It is told, and never decides anything.
"""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

from msgspec import Struct

from shards.config.config_folder import Config
from shards.histograms import Timings
from shards.ipc.messages import WorkerReport
from shards.ops.overview import Overview, ProcessStatus, ShardStatus
from shards.settings.settings import Settings, settings_of
from shards.supervisor.alarm_writer import AlarmWriter
from shards.supervisor.ledger_aggregator import LedgerAggregator
from shards.version import version

ROUTER = "router"
"""The name of its process."""
LATEST = 100
"""Alarms that are kept to be shown."""
SAMPLE_SECONDS = 1.0
_RATE_SAMPLES = 6
"""Rates are over the last five seconds."""
_ID_AT = len(b'{"alarm_id":"')


class _Process(Struct):
    up: bool = False
    ready: bool = False
    starts: int = 0
    heard: float = 0.0


class _Sample(Struct, frozen=True):
    at: float
    received: int
    done: dict[int, int]


class Observer:
    """Told what happens; `look` gives an overview."""

    def __init__(
        self, settings: Settings, config: Config, shards: Iterable[int], accounts: LedgerAggregator
    ) -> None:
        """`shards`: how many directives each worker has."""
        self._settings = settings
        self._config_hash, self._rejected = config.hash, config.rejected  # the rest is large
        self._shards = list(shards)
        self._accounts = accounts
        self._began = time.monotonic()
        self._router = _Process()
        self._workers = [_Process() for _ in self._shards]
        self._timings = Timings()
        self._alarms: Counter[str] = Counter(Low=0, Medium=0, High=0)
        self._matches: Counter[int] = Counter()
        self._checkpoints: dict[int, float] = {}
        self._latest: OrderedDict[bytes, bytes] = OrderedDict()
        self._samples: deque[_Sample] = deque(maxlen=_RATE_SAMPLES)

    def _process(self, worker: int | None) -> _Process:
        """The router, or a worker."""
        return self._router if worker is None else self._workers[worker]

    def started(self, worker: int | None) -> None:
        """A process has been started."""
        process = self._process(worker)
        process.up, process.ready, process.heard = True, False, time.monotonic()
        process.starts += 1

    def ready(self, worker: int | None) -> None:
        """It is ready for events."""
        self._process(worker).ready = True
        self.heard(worker)

    def heard(self, worker: int | None) -> None:
        """It has reported something."""
        self._process(worker).heard = time.monotonic()

    def ended(self, worker: int | None) -> None:
        """It has ended."""
        process = self._process(worker)
        process.up = process.ready = False

    def silent(self, worker: int | None) -> float:
        """Seconds since its last report, or since its start."""
        return time.monotonic() - self._process(worker).heard

    def reported(self, worker: int, report: WorkerReport) -> None:
        """A worker has reported; its counts are in the accounts."""
        self.heard(worker)
        if report.alarms:
            self._note_alarms(report.alarms)
        if (details := report.details) is not None:
            self._timings.add(details.timings)
            self._alarms.update(details.alarms)
            self._matches.update(details.matches)
            if details.checkpoint_at:
                self._checkpoints[worker] = details.checkpoint_at

    def _note_alarms(self, lines: bytes) -> None:
        """Keep the last line of each of the latest alarms."""
        for line in lines.splitlines()[-LATEST:]:
            key = line[_ID_AT : line.find(b'"', _ID_AT)]
            self._latest.pop(key, None)
            self._latest[key] = line
        while len(self._latest) > LATEST:
            self._latest.popitem(last=False)

    def sample(self) -> None:
        """Note how much was done by now: to be called every SAMPLE_SECONDS."""
        done = {worker: sum(r.done.values()) for worker, r in self._accounts.workers.items()}
        received = self._accounts.ledger().events.received
        self._samples.append(_Sample(time.monotonic(), received, done))

    def look(self, output: AlarmWriter, *, stopping: bool) -> Overview:
        """How it goes right now."""
        settings = self._settings
        names = [row.name for row in settings_of("serve")]
        return Overview(
            version=version(),
            now=time.time(),
            uptime=time.monotonic() - self._began,
            settings={name: settings.redacted(name) for name in names},
            config_hash=self._config_hash,
            directives=sum(self._shards),
            rejected_directives=self._rejected,
            ledger=self._accounts.ledger(),
            timings=self._timings,
            alarms_written=self._alarms,
            matches=self._matches if settings.metrics_per_directive else None,
            events_per_second=self._rate(None),
            router=_view(ROUTER, self._router),
            workers=[_view(f"worker-{n}", process) for n, process in enumerate(self._workers)],
            shards=[self._shard(number) for number in range(len(self._shards))],
            uses_nats=settings.mode == "cluster-backend",
            source_connected=self._accounts.connected,
            output_trouble=output.trouble,
            output_errors=output.errors,
            oldest_checkpoint_at=self._oldest_checkpoint(),
            stopping=stopping,
            latest_alarms=tuple(self._latest.values()),
        )

    def _oldest_checkpoint(self) -> float:
        if len(self._checkpoints) < len(self._shards):
            return 0.0
        return min(self._checkpoints.values())

    def _shard(self, number: int) -> ShardStatus:
        report = self._accounts.workers.get(number)
        return ShardStatus(
            worker=number,
            directives=self._shards[number],
            active_directives=report.active if report else 0,
            backlogs=report.backlogs.get("open", 0) if report else 0,
            queue=self._accounts.queue(number),
            queue_capacity=self._settings.max_queue,
            events_per_second=self._rate(number),
        )

    def _rate(self, worker: int | None) -> float:
        """Events a second of a worker, or received by the service, of late."""
        if len(self._samples) < 2:
            return 0.0
        first, last = self._samples[0], self._samples[-1]
        if worker is None:
            number = last.received - first.received
        else:
            number = last.done.get(worker, 0) - first.done.get(worker, 0)
        return max(0.0, number / (last.at - first.at))


def _view(name: str, process: _Process) -> ProcessStatus:
    return ProcessStatus(
        name=name,
        up=process.up,
        ready=process.ready,
        restarts=max(0, process.starts - 1),
        seconds_since_report=time.monotonic() - process.heard,
    )
