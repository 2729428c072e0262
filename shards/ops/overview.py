"""The state of the service at one moment, from which health, metrics and status are derived."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from shards.histograms import Timings
from shards.ledger import Ledger

STALLED_SECONDS = 30.0
"""Time without a report after which a process counts as stalled; it reports twice a second."""


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """State of the router or a worker.

    `restarts`: number of starts after the first one. `seconds_since_report`: since its last report,
    or since its start if it has not reported yet.
    """

    name: str
    up: bool
    ready: bool
    restarts: int
    seconds_since_report: float


class ShardStatus(Struct, frozen=True, kw_only=True):
    """Directives and load of a worker; the field names are keys of the status document.

    `directives`: number of loaded ones; `active_directives`: those with open backlogs; `backlogs`:
    number of open ones; `queue`: events that wait for the worker; `queue_capacity`: 0 is unbounded.
    """

    worker: int
    directives: int
    active_directives: int
    backlogs: int
    queue: int
    queue_capacity: int
    events_per_second: float


class Overview(Struct, frozen=True, kw_only=True):
    """State of the service. Times are in seconds since the epoch, durations in seconds.

    `settings`: by name, without secrets. `alarms_written`: lines of the alarms file by risk class.
    `matches`: consumed events by directive; None if they are not counted. `output_trouble`: why
    alarms cannot be written, or empty. `oldest_checkpoint_at`: time of the last checkpoint, of the
    worker where it is longest ago; 0 until every worker has written one. `latest_alarms`: lines of
    the alarms file, the newest last.
    """

    version: str
    now: float
    uptime: float
    settings: Mapping[str, Any]
    config_hash: str
    directives: int
    rejected_directives: int
    ledger: Ledger
    timings: Timings
    alarms_written: Mapping[str, int]
    matches: Mapping[int, int] | None
    events_per_second: float
    router: ProcessStatus
    workers: Sequence[ProcessStatus]
    shards: Sequence[ShardStatus]
    uses_nats: bool
    source_connected: bool
    output_trouble: str
    output_errors: int
    oldest_checkpoint_at: float
    stopping: bool
    latest_alarms: Sequence[bytes]

    @property
    def liveness_problems(self) -> list[str]:
        """Processes that make no progress, which only a restart of the service can end.

        While alarms cannot be written, workers wait and do not report: that is not a problem of
        liveness. Nor is a lost connection to NATS.
        """
        if self.output_trouble:
            return []
        return [
            f"{process.name} has not reported for {process.seconds_since_report:.0f} s"
            for process in (self.router, *self.workers)
            if process.up and process.ready and process.seconds_since_report > STALLED_SECONDS
        ]

    @property
    def readiness_problems(self) -> list[str]:
        """Reasons why the service cannot take events; empty if it is ready."""
        problems = ["it is stopping"] if self.stopping else []
        for process in (*self.workers, self.router):
            if not process.up:
                problems.append(f"{process.name} is not running")
            elif not process.ready:
                problems.append(f"{process.name} is still starting")
        if self.router.up and self.router.ready and not self.source_connected:
            problems.append(
                "there is no connection to NATS" if self.uses_nats else "it is not listening"
            )
        if self.output_trouble:
            problems.append(f"alarms cannot be written: {self.output_trouble}")
        return problems
