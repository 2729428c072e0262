"""The messages between processes, and their framing.

Frames are a length of four bytes and that many bytes of MessagePack. What goes over a data pipe is
a batch of raw events; over a worker's output pipe, its reports; over control pipes, the rest.
Counts are totals since the process began, so a report that is lost is made up for by the next.
"""

import asyncio
from collections import Counter

import msgspec
from msgspec import Struct

from shards.ledger import Events, Feed
from shards.lookups.counts import LookupCounts
from shards.timings import Timings

_LENGTH_BYTES = 4


class Queue(Struct, frozen=True, array_like=True):
    """One worker as the router sees it: events for it, dropped ones, and those not yet written."""

    sent: int
    dropped: int
    queued: int


class RouterReport(Struct, frozen=True, tag=True):
    """What the router has done. `queues` by worker; `written`: events by link.

    `connected`: whether events can arrive.
    """

    events: Events
    queues: dict[int, Queue]
    written: dict[int, int]
    feed: Feed
    connected: bool = False


class Details(Struct, frozen=True, array_like=True):
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
    details: Details | None = None


class Ready(Struct, frozen=True, tag=True):
    """A child has started; `listening` where its HTTP source is bound, if it has one."""

    listening: tuple[str, int] | None = None


class Attach(Struct, frozen=True, tag=True):
    """A new data pipe: its end follows as a file descriptor. For the router, to this worker."""

    link: int
    worker: int


class Stop(Struct, frozen=True, tag=True):
    """Finish what is there, report it, and end."""


FromChild = Ready | RouterReport
ToChild = Attach | Stop

_batches = msgspec.msgpack.Decoder(list[bytes])
_reports = msgspec.msgpack.Decoder(WorkerReport, dec_hook=lambda kind, counts: Counter(counts))
_encoder = msgspec.msgpack.Encoder()


def encode_frame(message: list[bytes] | WorkerReport) -> bytes:
    """A batch of raw events, or a worker's report, as it goes over a pipe."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


async def read_batch(reader: asyncio.StreamReader) -> list[bytes] | None:
    """The next batch of raw events; None at the end of the pipe."""
    payload = await _read_frame(reader)
    return None if payload is None else _batches.decode(payload)


async def read_report(reader: asyncio.StreamReader) -> WorkerReport | None:
    """A worker's next report; None at the end of the pipe."""
    payload = await _read_frame(reader)
    return None if payload is None else _reports.decode(payload)


async def _read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """A payload; None at the end, also for one whose writer died in the middle of it."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return None
