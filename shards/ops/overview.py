"""The state of the service at one moment, from which health, metrics and status are derived."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from shards.histograms import Timings
from shards.ledger import Ledger
from shards.ops.live_stats import LiveStats
from shards.ops.reload_outcome import ReloadOutcome

STALLED_SECONDS = 10.0
"""Time without progress after which a process is not ready; it reports twice a second."""
STUCK_SECONDS = 30.0
"""Time without progress, after the hang timeout, after which only a restart can help."""


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """State of the router or a worker.

    `restarts`: number of starts after the first one. `silent_seconds`: without a message;
    `idle_seconds`: without a processed event while events wait for it.
    """

    name: str
    up: bool
    ready: bool
    restarts: int
    silent_seconds: float
    idle_seconds: float

    def stalled_for(self, seconds: float) -> str:
        """What is wrong if it runs and has made no progress for that long; "" otherwise."""
        if not self.up:
            return ""
        if self.silent_seconds > seconds:
            return f"{self.name} has not reported for {self.silent_seconds:.0f} s"
        if self.idle_seconds > seconds:
            return f"events wait for {self.name}, which took none for {self.idle_seconds:.0f} s"
        return ""


class ShardStatus(Struct, frozen=True, kw_only=True):
    """Directives and load of a worker; the field names are keys of the status document.

    `directives`: number of loaded ones; `active_directives`: those with open backlogs; `backlogs`:
    number of open ones; `queue`: events that wait for the worker; `queue_capacity`: 0 is unbounded;
    `has_pipe`: whether the router has a data pipe to it; `consumed`, `unmatched`, `invalid`: its
    deliveries by outcome.
    """

    worker: int
    directives: int
    active_directives: int
    backlogs: int
    queue: int
    queue_capacity: int
    events_per_second: float
    has_pipe: bool
    consumed: int = 0
    unmatched: int = 0
    invalid: int = 0


class Overview(Struct, frozen=True, kw_only=True):
    """State of the service. Times are in seconds since the epoch, durations in seconds.

    `settings`: by name, without secrets. `config_trouble`: why it is not the newest configuration.
    `config_files`: as in ConfigSummary.
    `config_generation`: its number in this run of the service, from 1; `config_loaded_at`: time of
    the last load without a fault, also of one that changed nothing. `last_reload`: of whatever
    trigger; None before the first one. `reloads`: their number by result.
    `alarms_written`: lines of the alarms file by risk class. `stats`: by directive;
    None if they are not wanted. `output_trouble`: why alarms cannot be written, or
    empty. `oldest_checkpoint_at`: time of the last checkpoint, of the worker where it is longest
    ago; 0 until every worker has written one. `otel_dropped`: what was not exported, by kind; None
    without telemetry. `stream_lag`: messages of the stream that have not
    been read; None without a stream. `checkpoint_troubles`: why checkpoints cannot be
    written, by the name of the worker. `latest_alarms`: lines of the alarms file, the newest last.
    """

    version: str
    now: float
    uptime: float
    settings: Mapping[str, Any]
    hang_timeout: int
    config_hash: str
    config_trouble: str
    config_files: Mapping[str, tuple[str, int]]
    config_generation: int
    config_loaded_at: float
    last_reload: ReloadOutcome | None
    reloads: Mapping[str, int]
    directives: int
    rejected_directives: int
    ledger: Ledger
    timings: Timings
    alarms_written: Mapping[str, int]
    stats: LiveStats | None
    events_per_second: float
    router: ProcessStatus
    workers: Sequence[ProcessStatus]
    shards: Sequence[ShardStatus]
    uses_nats: bool
    source_connected: bool
    stream_lag: int | None
    output_trouble: str
    output_errors: int
    oldest_checkpoint_at: float
    checkpoint_troubles: Mapping[str, str]
    stopping: bool
    latest_alarms: Sequence[bytes]
    otel_dropped: Mapping[str, int] | None = None

    @property
    def matches(self) -> Mapping[int, int] | None:
        """Consumed events by directive; None if they are not counted."""
        if self.stats is None:
            return None
        return {id_: counts.events for id_, counts in self.stats.directives.items()}

    @property
    def liveness_problems(self) -> list[str]:
        """Processes that make no progress, which only a restart of the service can end.

        A process that hangs is killed after the hang timeout, so these could not be. While alarms
        cannot be written, workers wait: that is no problem of liveness. Nor is a lost connection
        to NATS.
        """
        limit = self.hang_timeout + STUCK_SECONDS
        processes = (self.router, *self.workers)
        return [problem for process in processes if (problem := process.stalled_for(limit))]

    @property
    def readiness_problems(self) -> list[str]:
        """Reasons why the service cannot take events; empty if it is ready."""
        problems = ["it is stopping"] if self.stopping else []
        for process in (*self.workers, self.router):
            if not process.up:
                problems.append(f"{process.name} is not running")
            elif not process.ready:
                problems.append(f"{process.name} is still starting")
            if problem := process.stalled_for(STALLED_SECONDS):
                problems.append(problem)
        if self.router.up and self.router.ready:
            if not self.source_connected:
                problems.append(self._why_no_events)
            problems += [
                f"the router has no data pipe to worker-{shard.worker}"
                for shard in self.shards
                if not shard.has_pipe
            ]
        if self.output_trouble:
            problems.append(f"alarms cannot be written: {self.output_trouble}")
        return problems

    @property
    def _why_no_events(self) -> str:
        if self.stream_lag is not None:
            return "the stream of events is not being read"
        return "there is no connection to NATS" if self.uses_nats else "it is not listening"

    @property
    def warnings(self) -> list[str]:
        """What is wrong although the service takes events; it stays ready.

        A service that is not ready gets no events from a load balancer: they would all be lost,
        where a missing checkpoint loses something only in a crash.
        """
        warnings = [trouble for trouble in (self.config_trouble, self._reload_trouble) if trouble]
        warnings += [
            f"{worker} writes no crash checkpoint: {trouble}"
            for worker, trouble in self.checkpoint_troubles.items()
        ]
        return warnings

    @property
    def is_config_newest(self) -> bool:
        """Whether the configuration is the one of the last attempt to load one."""
        return not (self.config_trouble or self._reload_trouble)

    @property
    def _reload_trouble(self) -> str:
        return self.last_reload.trouble if self.last_reload else ""
