"""The messages between processes.

Data pipes carry batches of deliveries to a worker, report pipes carry a worker's reports to the
supervisor, control pipes carry everything else. Counts are totals since the process started, so
that a lost report is made up for by the next one.
"""

from msgspec import Struct

from shards.histograms import Timings
from shards.ledger import Ledger


class Batch(Struct, frozen=True, array_like=True):
    """Deliveries to a worker.

    `first`: the position of the first event, the others follow without a gap; without events, that
    of the next one. `now`: the time of the shard, in seconds since the epoch. `asks`: whether the
    router wants a checkpoint, since it keeps much.
    """

    first: int
    now: int
    asks: bool
    events: list[bytes]

    @property
    def last(self) -> int:
        """The position after which the shard is when it has processed the batch."""
        return self.first + len(self.events) - 1


class RouterReport(Struct, frozen=True, tag=True):
    """The state of the router, by worker.

    `accepted`: events put on its send queue; `lost`: of these, the ones that a worker that died had
    got and nobody keeps; `queued`: those that wait in the queue. `connected`: whether events can
    arrive; `without_pipe`: workers that it has no data pipe to.
    """

    ledger: Ledger
    accepted: dict[int, int]
    lost: dict[int, int]
    queued: dict[int, int]
    connected: bool = False
    without_pipe: list[int] = []


class WorkerDetails(Struct, frozen=True, array_like=True):
    """Measurements of a worker since its last details, which it sends twice a second.

    `alarms`: lines by risk class; `matches`: events by directive; `checkpoint_at`: time of the last
    checkpoint in seconds since the epoch, 0 when there was none; `checkpoint_trouble`: why
    checkpoints cannot be written, or "".
    """

    timings: Timings
    alarms: dict[str, int]
    matches: dict[int, int]
    checkpoint_at: float
    checkpoint_trouble: str = ""


class AlarmLines(Struct, frozen=True, array_like=True, tag=True):
    """Whole lines to write; those of a large report go ahead of it."""

    alarm_events: bytes
    alarms: bytes


class WorkerReport(AlarmLines, frozen=True, array_like=True, tag=True):
    """The state of a worker, and the lines to write since its last report.

    `position`: that of the last delivery processed, whose lines are all in this report or earlier
    ones; `life`: the router whose deliveries it takes. `sync`: unless 0, the number to be sent back
    as Synced once all lines are on the disk. `saved`, `saved_sync`: position and number of the last
    checkpoint. `active_directives`: directives with open backlogs; `details` only twice a second.
    """

    ledger: Ledger
    position: int = 0
    life: int = 0
    sync: int = 0
    saved: int = 0
    saved_sync: int = 0
    busy_seconds: float = 0.0
    active_directives: int = 0
    details: WorkerDetails | None = None


class Ready(Struct, frozen=True, tag=True):
    """A child has started.

    `listening`: address and port of its HTTP source, if it has one. `position`: for a worker, that
    of the last delivery whose effect it has from a checkpoint of this run, or 0.
    """

    listening: tuple[str, int] | None = None
    position: int = 0


class Progress(Struct, frozen=True, tag=True):
    """A child that is still starting has done a part of that."""


class AttachPipe(Struct, frozen=True, tag=True):
    """A new data pipe from the router to a worker; the receiver's end follows as a descriptor.

    `life`: number of the router among those of this run; `after`: the worker has the effect of all
    deliveries up to this position.
    """

    worker: int
    life: int
    after: int


class DetachPipe(Struct, frozen=True, tag=True):
    """To the router: a worker is gone; `for_good`: it has no successor."""

    worker: int
    for_good: bool = False


class Saved(Struct, frozen=True, tag=True):
    """To the router: a checkpoint holds the effect of all deliveries up to this position."""

    worker: int
    position: int


class Synced(Struct, frozen=True, tag=True):
    """To a worker: the lines of its reports up to the one with this number are on the disk.

    `files`: FilePositions in MessagePack, before which these lines are; b"" if they are not known.
    """

    sync: int
    files: bytes = b""


class Stop(Struct, frozen=True, tag=True):
    """Finish the work at hand, report it, and exit; `seconds` until a worker is killed."""

    seconds: float = 0.0


FromChild = Ready | Progress | RouterReport
ToChild = AttachPipe | DetachPipe | Saved | Synced | Stop
