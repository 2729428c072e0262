"""The messages between processes.

Data pipes carry batches of raw events to a worker, report pipes carry a worker's reports to the
supervisor, control pipes carry everything else. Counts are totals since the process started, so
that a lost report is made up for by the next one.
"""

from msgspec import Struct

from shards.histograms import Timings
from shards.ledger import Ledger


class RouterReport(Struct, frozen=True, tag=True):
    """The state of the router.

    `queued`: events in the send queue of each worker; `written`: events written by data pipe;
    `connected`: whether events can arrive; `without_pipe`: workers that it has no data pipe to.
    """

    ledger: Ledger
    queued: dict[int, int]
    written: dict[int, int]
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

    `processed`: deliveries by data pipe; `ended_pipes`: data pipes read to their end;
    `in_checkpoint`: number of consumed deliveries whose effect is in the last checkpoint;
    `active_directives`: directives with open backlogs; `details` only twice a second.
    """

    processed: dict[int, int]
    ended_pipes: list[int]
    ledger: Ledger
    in_checkpoint: int = 0
    busy_seconds: float = 0.0
    active_directives: int = 0
    details: WorkerDetails | None = None


class Ready(Struct, frozen=True, tag=True):
    """A child has started; `listening`: address and port of its HTTP source, if it has one."""

    listening: tuple[str, int] | None = None


class Progress(Struct, frozen=True, tag=True):
    """A child that is still starting has done a part of that."""


class AttachPipe(Struct, frozen=True, tag=True):
    """A new data pipe from the router to a worker; the receiver's end follows as a descriptor."""

    pipe: int
    worker: int


class Stop(Struct, frozen=True, tag=True):
    """Finish the work at hand, report it, and exit; `seconds` until a worker is killed."""

    seconds: float = 0.0


FromChild = Ready | Progress | RouterReport
ToChild = AttachPipe | Stop
