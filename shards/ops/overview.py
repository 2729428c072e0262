"""How the service is at one moment, as plain data: what health, metrics and status are made of.

May live here: that data, and what can be read off it. May not: how it is gathered (observer.py),
and how it is shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from shards.histograms import Timings
from shards.ledger import Ledger

STALLED_SECONDS = 30.0
"""A process that lives reports twice a second; one that has said nothing for so long is stuck."""


class ProcessView(Struct, frozen=True, kw_only=True):
    """The router or a worker: whether it lives, is ready, how often it was started again.

    `silent`: seconds since its last report, or since its start.
    """

    name: str
    up: bool
    ready: bool
    restarts: int
    silent: float


class ShardView(Struct, frozen=True, kw_only=True):
    """What a worker has: directives, open backlogs, events that wait for it, and how many a second.

    `queue_capacity`: 0 is without bound.
    """

    worker: int
    directives: int
    active_directives: int
    backlogs: int
    queue: int
    queue_capacity: int
    events_per_second: float


class Overview(Struct, frozen=True, kw_only=True):
    """All of it. Times in seconds, since the epoch or long; `latest`: lines of alarms, newest last.

    `checkpoint_at`: of the worker whose last one is the oldest; 0: there was none yet. `matches`:
    by directive; None when they are not counted.
    """

    version: str
    now: float
    uptime: float
    settings: Mapping[str, Any]
    config_hash: str
    directives: int
    rejected: int
    ledger: Ledger
    timings: Timings
    alarms: Mapping[str, int]
    matches: Mapping[int, int] | None
    events_per_second: float
    router: ProcessView
    workers: Sequence[ProcessView]
    shards: Sequence[ShardView]
    over_nats: bool
    connected: bool
    output_trouble: str
    output_errors: int
    checkpoint_at: float
    stopping: bool
    latest: Sequence[bytes]

    @property
    def stuck(self) -> list[str]:
        """What makes no progress any more: nothing of that passes, so a restart is in order.

        While the disk is full workers wait, and say nothing. A server that is away is none of it.
        """
        if self.output_trouble:
            return []
        return [
            f"{process.name} has said nothing for {process.silent:.0f} s"
            for process in (self.router, *self.workers)
            if process.up and process.ready and process.silent > STALLED_SECONDS
        ]

    @property
    def missing(self) -> list[str]:
        """What is missing for taking events; empty when it is ready."""
        missing = ["it is stopping"] if self.stopping else []
        for process in (*self.workers, self.router):
            if not process.up:
                missing.append(f"{process.name} is not running")
            elif not process.ready:
                missing.append(f"{process.name} is still starting")
        if self.router.up and self.router.ready and not self.connected:
            what = "there is no connection to NATS" if self.over_nats else "it is not listening"
            missing.append(what)
        if self.output_trouble:
            missing.append(f"alarms cannot be written: {self.output_trouble}")
        return missing
