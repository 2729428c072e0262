"""The messages between processes.

Data pipes carry batches of deliveries to a worker, report pipes carry a worker's reports to the
supervisor, control pipes carry everything else. Counts are totals since the process started, so
that a lost report is made up for by the next one.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from engine.directive_counts import DirectiveCounts
from shards.histograms import Timings
from shards.ipc.queries import AlarmAbout, AskWorker, WorkerAnswer
from shards.ledger import Ledger, decode_ledger
from shards.tracing.span import Span
from shards.unmatched_events import Signature

POSITION_CODE = "q"
"""Type code of an array of positions."""
_POSITION_BYTES = array(POSITION_CODE).itemsize


class Batch(Struct, frozen=True, array_like=True):
    """Deliveries to a worker.

    `first`, `last`: positions of the first and the last event; without events, `last` is where the
    shard is after the batch. `now`: the time of the shard, in seconds since the epoch, or 0 if it
    stays as it is. `asks`: whether the router wants a checkpoint, since it keeps much. `positions`:
    those of the events, as the bytes of an array of 64-bit integers, or empty if they follow
    without a gap. `stream`: the stream that positions are in from now on, if that is to be noted.
    `generation`: of the configuration that routed the events, and is to process them.
    """

    first: int
    last: int
    now: int
    asks: bool
    events: list[bytes]
    positions: bytes = b""
    stream: str = ""
    generation: int = 1

    def after(self, position: int) -> "Batch":
        """The part of the batch after a position; the time and `last` stay."""
        skip = self._count_until(position)
        if not skip:
            return self
        return replace(
            self,
            first=position + 1,
            events=self.events[skip:],
            positions=self.positions[skip * _POSITION_BYTES :],
        )

    def until(self, position: int) -> "Batch":
        """The part of the batch up to a position."""
        keep = self._count_until(position)
        return replace(
            self,
            last=min(self.last, position),
            events=self.events[:keep],
            positions=self.positions[: keep * _POSITION_BYTES],
        )

    def split(self, limits: Iterable[int]) -> "Iterator[Batch]":
        """The parts that end at these positions, in order, and the rest."""
        rest = self
        for limit in limits:
            if rest.first <= limit < rest.last:
                yield rest.until(limit)
                rest = rest.after(limit)
        yield rest

    def _count_until(self, position: int) -> int:
        """The number of events up to a position."""
        if not self.positions:
            return min(max(0, position - self.first + 1), len(self.events))
        return bisect_right(array(POSITION_CODE, self.positions), position)


class RouterReport(Struct, frozen=True, tag=True):
    """The state of the router, by worker.

    `accepted`: events put on its send queue; `lost`: of these, the ones that a worker that died had
    got and nobody keeps; `queued`: those that wait in the queue. `connected`: whether events can
    arrive; `without_pipe`: workers that it has no data pipe to. With a stream, `read`: the position
    up to which it has been read, and is counted; `lag`: messages in it that have not been read.
    """

    ledger: Ledger
    accepted: dict[int, int]
    lost: dict[int, int]
    queued: dict[int, int]
    connected: bool = False
    without_pipe: list[int] = []
    read: int = 0
    lag: int = 0


class WorkerDetails(Struct, frozen=True, array_like=True):
    """Measurements of a worker since its last details, which it sends twice a second.

    `alarms`: lines by risk class; `directives`: counts by directive, if they are wanted;
    `checkpoint_at`: time of the last checkpoint in seconds since the epoch, 0 when there was none;
    `checkpoint_trouble`: why checkpoints cannot be written, or "". `former`: directives with
    backlogs that are open under a former definition.
    """

    timings: Timings
    alarms: dict[str, int]
    directives: dict[int, DirectiveCounts]
    checkpoint_at: float
    checkpoint_trouble: str = ""
    former: list[int] = []


class AlarmLines(Struct, frozen=True, array_like=True, tag=True):
    """Whole lines to write; those of a large report go ahead of it."""

    alarm_events: bytes
    alarms: bytes


class WorkerReport(AlarmLines, frozen=True, array_like=True, tag=True, dict=True):
    """The state of a worker, and the lines to write since its last report.

    `encoded_ledger`: its counts in MessagePack, since they are asked for more rarely than they are
    sent; `late`: as in them. `position`: that of the last delivery processed, whose lines are all
    in this report or earlier ones; `last_event`: that of the last one with an event. `clock`: with
    a stream, the time of the shard; `is_time_done`: whether all is done that time alone causes
    after that event until then. `life`: the router whose deliveries it takes. `sync`: unless 0,
    the number to be sent back as Synced once all lines are on the disk. `saved`, `saved_processed`,
    `saved_sync`: position of the last checkpoint, number of deliveries processed by then, and
    number of its report. `stream`: the one that `saved` is in. `generation`, `saved_generation`: of
    the configuration at `position` and at `saved`. `active_directives`: directives with open
    backlogs; `details` only twice a second. `about`: by id of an alarm, for the console.
    """

    encoded_ledger: bytes
    late: int = 0
    position: int = 0
    last_event: int = 0
    clock: int = 0
    is_time_done: bool = False
    life: int = 0
    sync: int = 0
    saved: int = 0
    saved_processed: int = 0
    saved_sync: int = 0
    stream: str = ""
    generation: int = 1
    saved_generation: int = 0
    busy_seconds: float = 0.0
    active_directives: int = 0
    details: WorkerDetails | None = None
    about: dict[str, AlarmAbout] = {}

    @cached_property
    def ledger(self) -> Ledger:
        """The counts, decoded once; they may be changed. ValueError if they cannot be read."""
        return decode_ledger(self.encoded_ledger)


class SpanReport(Struct, frozen=True, tag=True):
    """Spans of a router or worker since its last such report; `dropped`: number of further ones."""

    spans: list[Span]
    dropped: int = 0


class UnmatchedReport(Struct, frozen=True, tag=True):
    """The most frequent signatures of a router's unmatched events; rarely sent, if at all."""

    signatures: list[Signature]


class Ready(Struct, frozen=True, tag=True):
    """A child has started; from a worker, also that it has read its data pipe to the end.

    `listening`: address and port of its HTTP source, if it has one. `position`: for a worker, that
    of the last delivery whose effect it has, or 0, `processed` the number of deliveries by then,
    and with a stream, `stream` the one that the position is in. `generation`: of the configuration
    at the position; `former`: routing keys of former definitions with open backlogs, a list of
    DirectiveRoutingKeys in MessagePack.
    """

    listening: tuple[str, int] | None = None
    position: int = 0
    processed: int = 0
    stream: str = ""
    generation: int = 1
    former: bytes = b""


class Progress(Struct, frozen=True, tag=True):
    """A child that is still starting has done a part of that."""


class Prepared(Struct, frozen=True, tag=True):
    """A child has loaded the configuration of a Prepare, and can switch to it at once."""

    generation: int


class Switched(Struct, frozen=True, tag=True):
    """From the router: all events after this position are routed by this generation.

    It is sent before any such event is written. `position`: in a stream, otherwise 0.
    """

    generation: int
    position: int = 0


class AttachPipe(Struct, frozen=True, tag=True):
    """A new data pipe from the router to a worker; the receiver's end follows as a descriptor.

    `life`: number of the router among those of this run; `after`: the worker has the effect of all
    deliveries up to this position, where `generation` was its configuration.
    """

    worker: int
    life: int
    after: int
    generation: int = 1


class DetachPipe(Struct, frozen=True, tag=True):
    """To the router: a worker is gone; `for_good`: it has no successor."""

    worker: int
    for_good: bool = False


class Saved(Struct, frozen=True, tag=True):
    """To the router: deliveries up to this position need not be kept.

    `held`: the one up to which a checkpoint holds the effect; lower if none can be written.
    `generation`: of the worker's configuration at the position.
    """

    worker: int
    position: int
    held: int = 0
    generation: int = 1


class Prepare(Struct, frozen=True, tag=True):
    """Load a configuration, whose SharedValue follows as a descriptor; it is not used yet."""

    generation: int


class Switch(Struct, frozen=True, tag=True):
    """To the router: route by this generation, which all children have prepared, from now on.

    `reached`: in a stream, the highest position that a worker has the effect of: what is up to it
    was routed before, by whichever router, and will not be routed otherwise.
    """

    generation: int
    reached: int = 0


class Synced(Struct, frozen=True, tag=True):
    """To a worker: the lines of its reports up to the one with this number are on the disk.

    `files`: FilePositions in MessagePack, before which these lines are; b"" if they are not known,
    or if the worker may still report lines again that are before: then the last ones hold on.
    """

    sync: int
    files: bytes = b""


class Stop(Struct, frozen=True, tag=True):
    """Finish the work at hand, report it, and exit; `seconds` until a worker is killed."""

    seconds: float = 0.0


FromChild = (
    Ready
    | Progress
    | RouterReport
    | UnmatchedReport
    | Prepared
    | Switched
    | WorkerAnswer
    | SpanReport
)
ToChild = AttachPipe | DetachPipe | Prepare | Switch | Saved | Synced | Stop | AskWorker
WITH_DESCRIPTOR = (AttachPipe, Prepare)
"""Messages that a descriptor follows."""
