"""The messages between processes, and their framing.

Frames are a length of four bytes and that many bytes of MessagePack. What goes over a data pipe is
a batch of raw events; over a worker's output pipe, its reports; over control pipes, the rest.
Counts are totals since the process began, so a report that is lost is made up for by the next.
"""

from msgspec import Struct

from shards.histograms import Timings
from shards.ledger import Events, Feed, LookupCounts


class QueueCounts(Struct, frozen=True, array_like=True):
    """One worker as the router sees it: events for it, dropped ones, and those not yet written."""

    sent: int
    dropped: int
    queued: int


class RouterReport(Struct, frozen=True, tag=True):
    """What the router has done. `queues` by worker; `written`: events by link.

    `connected`: whether events can arrive.
    """

    events: Events
    queues: dict[int, QueueCounts]
    written: dict[int, int]
    feed: Feed
    connected: bool = False


class WorkerDetails(Struct, frozen=True, array_like=True):
    """What a worker has done since it last said so, which is twice a second.

    `alarms`: lines by risk class; `matches` by directive; `checkpoint_at`: when the last one was
    written, 0: there was none yet.
    """

    timings: Timings
    alarms: dict[str, int]
    matches: dict[int, int]
    checkpoint_at: float


class WorkerReport(Struct, frozen=True, array_like=True):
    """What a worker has done, and the lines to write since the last report.

    `done`: deliveries by link; `ended`: links that have reached their end of file. `saved`: as
    many of the consumed are in a checkpoint. `late`: events taken later than max-delay. `busy` in
    seconds of wall time; `active`: directives that have open backlogs; `lookups` by source.
    `details` are not in each.
    """

    alarm_events: bytes
    alarms: bytes
    done: dict[int, int]
    ended: list[int]
    consumed: int
    saved: int
    unmatched: int
    invalid: dict[str, int]
    outcomes: dict[str, int]
    backlogs: dict[str, int]
    from_future: int
    late: int
    busy: float
    active: int
    lookups: dict[str, LookupCounts] = {}
    details: WorkerDetails | None = None


class Ready(Struct, frozen=True, tag=True):
    """A child has started; `listening` where its HTTP source is bound, if it has one."""

    listening: tuple[str, int] | None = None


class AttachPipe(Struct, frozen=True, tag=True):
    """A new data pipe: its end follows as a file descriptor. For the router, to this worker."""

    link: int
    worker: int


class Stop(Struct, frozen=True, tag=True):
    """Finish what is there, report it, and end."""


FromChild = Ready | RouterReport
ToChild = AttachPipe | Stop
