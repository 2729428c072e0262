"""Answers the queries of the supervisor about a shard. Changes nothing.

An answer is made in turns of some milliseconds, with pauses at least as long, and is sent in
pieces, each once the control pipe has room: correlation never waits for longer than one turn.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from engine.address import canonical_ip
from engine.errors import InvalidEventError
from engine.event import decode_event
from shards.clock import WallClock
from shards.ipc.control import ControlChannel
from shards.ipc.explanations import ExplainEvent
from shards.ipc.queries import (
    MAX_EVENT_BYTES,
    MAX_TEXT,
    AddressRow,
    AddressRows,
    AskWorker,
    BacklogCounts,
    CountBacklogs,
    DescribeAddresses,
    DirectiveRow,
    DirectiveRows,
    EventRows,
    FindBacklogs,
    FoundDirective,
    GetDirective,
    ListDirectives,
    RecentEvents,
    WorkerAnswer,
    encode_answer,
)
from shards.worker.backlog_query import find_backlogs
from shards.worker.explanations import explain_event
from shards.worker.shard import Shard

MAX_WAITING = 8
"""Queries that a worker keeps; a supervisor has fewer under way."""
PIECE_BYTES = 48 << 10
"""Bytes of a piece of an answer: a control pipe with room takes them at once."""
MAX_ANSWER_BYTES = 4 << 20
"""Bytes of an answer; a longer one is not sent, which is the same as no answer in time."""
TURN_SECONDS = 0.002
"""Length of a turn, and of the pause after it."""
SEND_SECONDS = 0.5
"""Part of the time for an answer, its last, in which it is sent as far as it has come."""
_ROOM_SECONDS = 0.005
"""Interval of looks whether the control pipe has room."""


def answer_steps(shard: Shard, request: AskWorker, now: int) -> Iterator[Any]:
    """The answer as the last item, after None for each step; `now` in seconds since the epoch."""
    in_time = partial(_is_in_time, request)
    match request.query:
        case ExplainEvent() as query:
            return explain_event(shard, query, now, in_time)
        case FindBacklogs() as query:
            return find_backlogs(shard, query, now, in_time)
        case ListDirectives(start, limit):
            return _list_directives(shard, start, limit)
        case CountBacklogs():
            counts = {id_: len(those) for id_, those in shard.correlator.open_backlogs().items()}
            return iter((BacklogCounts(counts),))
        case GetDirective(id_):
            return iter((FoundDirective(shard.directives.directives.get(id_)),))
        case DescribeAddresses(addresses):
            return _describe_addresses(shard, addresses)
        case RecentEvents(directive, limit):
            return _recent_events(shard, directive, limit)


def _is_in_time(request: AskWorker) -> bool:
    """Whether more of an answer may be computed."""
    return time.monotonic() < request.until - SEND_SECONDS


def _list_directives(shard: Shard, start: int, limit: int) -> Iterator[DirectiveRows | None]:
    directives = shard.directives.directives
    rows = []
    for id_ in list(islice(directives, start, start + limit)):
        directive = directives[id_]
        rows.append(
            DirectiveRow(
                id_,
                directive.name[:MAX_TEXT],
                directive.kingdom[:MAX_TEXT],
                directive.category[:MAX_TEXT],
                directive.priority,
                len(directive.rules),
            )
        )
        yield None
    yield DirectiveRows(rows, len(directives))


def _describe_addresses(shard: Shard, addresses: list[str]) -> Iterator[AddressRows]:
    rows = []
    for text in addresses:
        try:
            info = shard.directives.assets.address_info(canonical_ip(text))
        except ValueError:  # it is no address
            continue
        rows.append(AddressRow(text, info.name, list(info.networks), info.value))
    yield AddressRows(rows)


def _recent_events(shard: Shard, directive: int, limit: int) -> Iterator[EventRows | None]:
    """The last valid events of the last batch."""
    found: list[bytes] = []
    for raw in reversed(shard.recent_events):
        if len(found) >= limit:
            break
        if len(raw) <= MAX_EVENT_BYTES and _concerns(shard, raw, directive):
            found.append(raw)
        yield None
    yield EventRows(found)


def _concerns(shard: Shard, raw: bytes, directive: int) -> bool:
    try:
        event = decode_event(raw)
    except InvalidEventError:
        return False
    return not directive or directive in shard.correlator.concerned(event)


class QueryTasks:
    """The queries under way of one worker, answered one after the other."""

    def __init__(self, shard: Shard, clock: WallClock, control: ControlChannel) -> None:
        self._shard = shard
        self._clock = clock
        self._control = control
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, request: AskWorker) -> None:
        """Answer a query in the background; not if there are too many."""
        if len(self._tasks) < MAX_WAITING:
            task = asyncio.create_task(self._answer(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: AskWorker) -> None:
        async with self._turn:
            answer = await self._compute(request)
            if answer is None:
                return
            data = encode_answer(answer)
            if len(data) > MAX_ANSWER_BYTES:
                return
            for start in range(0, len(data), PIECE_BYTES):
                end = start + PIECE_BYTES
                piece = WorkerAnswer(request.number, data[start:end], end >= len(data))
                if not await self._send(piece, request.until):
                    return

    async def _compute(self, request: AskWorker) -> Any:
        """The answer, computed in turns."""
        if time.monotonic() >= request.until:
            return None
        answer = None
        turn_ends = time.monotonic() + TURN_SECONDS
        for answer in answer_steps(self._shard, request, self._now()):  # noqa: B007 - the last
            if time.monotonic() >= turn_ends:
                await asyncio.sleep(TURN_SECONDS)
                turn_ends = time.monotonic() + TURN_SECONDS
        return answer

    async def _send(self, piece: WorkerAnswer, until: float) -> bool:
        """Send a piece once there is room, unless that is after `until`; whether it was sent."""
        while time.monotonic() < until:
            if self._control.send_if_room(piece):
                await asyncio.sleep(0)
                return True
            await asyncio.sleep(_ROOM_SECONDS)
        return False

    def _now(self) -> int:
        """The time of the shard, in seconds since the epoch: that of its stream, or wall time."""
        now = self._shard.now
        return now if self._shard.has_stream and now < sys.maxsize else self._clock.now()
