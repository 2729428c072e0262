"""What the directives of a shard would make of an event, for POST /explain. Changes nothing.

One directive is explained in a turn of the event loop, and its answer is sent only when the control
pipe has room: events do not wait longer for it than some milliseconds.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from engine.correlation.directive_backlogs import DirectiveBacklogs
from engine.errors import InvalidEventError
from engine.event import NormalizedEvent, decode_event
from engine.explain.explainer import Explainer
from engine.explain.rule_checks import MAX_TEXT
from engine.explain.verdict import Verdict
from shards.clock import WallClock
from shards.ipc.control import ControlChannel
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ExplainPart
from shards.worker.shard import Shard

MAX_DIRECTIVES = 100
"""Directives of a shard that are explained for one event."""
MAX_VERDICTS = 100
"""Verdicts of one directive that are sent: consuming ones first, then those nearest to that."""
PART_BYTES = 48 << 10
"""Bytes of the verdicts of one directive: a control pipe with room takes them at once."""
MAX_WAITING = 8
"""Requests that a worker keeps; a supervisor has fewer under way."""
_ROOM_SECONDS = 0.005
"""Interval of looks whether the control pipe has room."""

_encode = msgspec.msgpack.Encoder().encode


def explain_event(shard: Shard, request: ExplainEvent, now: int) -> Iterator[ExplainPart]:
    """The parts of the answer, each computed when it is taken; `now` in seconds since the epoch."""
    try:
        event = shard.with_possible_time(decode_event(request.event), now)
    except InvalidEventError:  # the supervisor refuses it
        return
    correlator = shard.correlator
    ids = list(request.directives or correlator.concerned(event))
    explainer = Explainer()
    for id_ in ids[:MAX_DIRECTIVES]:
        backlogs = correlator.backlogs_of(id_)
        if backlogs is None:
            continue
        if backlogs.compiled.assets.address_info(event.src_ip).whitelisted:
            yield ExplainPart(request.number, whitelisted=True)
            return
        explanation = _explain_directive(explainer, backlogs, event, now)
        yield ExplainPart(request.number, replace(explanation, shard=shard.progress.worker))
    yield ExplainPart(request.number, omitted=max(0, len(ids) - MAX_DIRECTIVES))


def _explain_directive(
    explainer: Explainer, backlogs: DirectiveBacklogs, event: NormalizedEvent, now: int
) -> DirectiveExplanation:
    found = explainer.explain(backlogs, event, now)
    verdicts = [verdict for _, verdict in found.verdicts]
    kept = list(_within_bytes(sorted(verdicts, key=_distance)[:MAX_VERDICTS]))
    directive = backlogs.compiled.directive
    return DirectiveExplanation(
        directive.id,
        directive.name[:MAX_TEXT],
        0,
        len(backlogs.backlogs()),
        kept,
        verdicts_omitted=len(verdicts) - len(kept),
        backlogs_unasked=found.unasked,
    )


def _distance(verdict: Verdict) -> int:
    """The number of conditions that refuse the event."""
    refusal = verdict.refusal
    return 0 if refusal is None else refusal.conditions - refusal.met


def _within_bytes(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    left = PART_BYTES
    for verdict in verdicts:
        left -= len(_encode(verdict))
        if left < 0:
            return
        yield verdict


class ExplainTasks:
    """The requests under way of one worker."""

    def __init__(self, shard: Shard, clock: WallClock, control: ControlChannel) -> None:
        self._shard = shard
        self._clock = clock
        self._control = control
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, request: ExplainEvent) -> None:
        """Answer a request in the background; not if there are too many."""
        if len(self._tasks) < MAX_WAITING:
            task = asyncio.create_task(self._answer(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: ExplainEvent) -> None:
        async with self._turn:
            parts = explain_event(self._shard, request, self._now())
            while time.monotonic() < request.until:
                if (part := next(parts, None)) is None:
                    return
                await self._send(part, request.until)

    async def _send(self, part: ExplainPart, until: float) -> None:
        """Send a part once there is room, and let other tasks run; not after `until`."""
        while not self._control.send_if_room(part) and time.monotonic() < until:
            await asyncio.sleep(_ROOM_SECONDS)
        await asyncio.sleep(0)

    def _now(self) -> int:
        """The time of the shard, in seconds since the epoch: that of its stream, or wall time."""
        now = self._shard.now
        return now if self._shard.has_stream and now < sys.maxsize else self._clock.now()
