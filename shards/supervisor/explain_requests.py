"""Asks the workers what their directives would make of an event, and puts the answers together."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count

import msgspec

from engine.explain.verdict import Verdict
from shards.ipc.child import ChildProcess
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ExplainPart
from shards.ipc.messages import FromChild
from shards.ops.event_explanation import (
    ANSWER_SECONDS,
    MAX_ANSWER_BYTES,
    EventExplanation,
    UnknownDirectiveError,
)

_ELSEWHERE = "other services of this node have other directives"
_encode = msgspec.json.Encoder().encode


class ExplainRequests:
    """The requests under way; each ends after ANSWER_SECONDS at the latest."""

    def __init__(self, workers: Mapping[int, ChildProcess]) -> None:
        """`workers`: those that run, by number; kept up to date by the owner."""
        self._workers = workers
        self._worker_of: dict[int, int] = {}
        """By id of a directive."""
        self._worker_count = 0
        self._is_part = False
        self._numbers = count(1)
        self._under_way: dict[int, _Answer] = {}

    def use_directives(self, by_worker: Sequence[Iterable[int]], *, is_part: bool) -> None:
        """The ids of the directives of each worker; `is_part`: other services have others."""
        self._worker_of = {id_: number for number, ids in enumerate(by_worker) for id_ in ids}
        self._worker_count = len(by_worker)
        self._is_part = is_part

    def worker_of(self, directive: int) -> int | None:
        """The worker of a directive; None if no worker of this service has it."""
        return self._worker_of.get(directive)

    async def explain(self, event: bytes, directives: tuple[int, ...]) -> EventExplanation:
        """What the workers answer, as `shards.ops.event_explanation.Explain`."""
        answer = _Answer(self._workers_with(directives))
        number, until = next(self._numbers), time.monotonic() + ANSWER_SECONDS
        self._under_way[number] = answer
        request = ExplainEvent(number, event, list(directives), until)
        try:
            for worker in tuple(answer.waiting):
                child = self._workers.get(worker)
                if child is None or not child.send_if_room(request):
                    answer.fail(worker)
            with suppress(TimeoutError):
                await asyncio.wait_for(answer.complete.wait(), ANSWER_SECONDS)
        finally:
            del self._under_way[number]
        return answer.explanation(self._unmatched(answer, directives))

    def _workers_with(self, directives: tuple[int, ...]) -> set[int]:
        """The workers that have these directives, all for none; UnknownDirectiveError."""
        if unknown := [id_ for id_ in directives if id_ not in self._worker_of]:
            ids = ", ".join(map(str, unknown))
            raise UnknownDirectiveError(f"no directive {ids} is enabled in this service")
        if directives:
            return {self._worker_of[id_] for id_ in directives}
        return set(range(self._worker_count))

    def _unmatched(self, answer: "_Answer", directives: tuple[int, ...]) -> list[Verdict]:
        """The verdict on an event that concerns no directive."""
        if directives or answer.concerns_some:
            return []
        return [Verdict("unmatched", detail=_ELSEWHERE if self._is_part else "")]

    def take(self, worker: int, message: FromChild) -> None:
        """A worker has sent a message: it may be a part of its answer."""
        if isinstance(message, ExplainPart) and message.number in self._under_way:
            self._under_way[message.number].take(worker, message)

    def worker_ended(self, worker: int) -> None:
        """A worker has ended, and answers no more."""
        for answer in self._under_way.values():
            answer.fail(worker)


class _Answer:
    """The parts of one answer that have arrived; `complete` once all workers have answered."""

    def __init__(self, workers: set[int]) -> None:
        self.waiting = workers
        self.complete = asyncio.Event()
        self._failed: set[int] = set()
        self._found: list[DirectiveExplanation] = []
        self._bytes = 0
        self._omitted = 0
        self._whitelisted = False

    @property
    def concerns_some(self) -> bool:
        """Whether the event concerns a directive, or may, since a worker has not answered."""
        incomplete = self.waiting or self._failed
        return bool(self._found or self._omitted or self._whitelisted or incomplete)

    def take(self, worker: int, part: ExplainPart) -> None:
        """Add a part."""
        self._omitted += part.omitted
        self._whitelisted |= part.whitelisted
        if part.explanation is None:
            self._end(worker)
        elif (size := len(_encode(part.explanation))) + self._bytes > MAX_ANSWER_BYTES:
            self._omitted += 1
        else:
            self._bytes += size
            self._found.append(part.explanation)

    def fail(self, worker: int) -> None:
        """A worker will not answer."""
        if worker in self.waiting:
            self._failed.add(worker)
            self._end(worker)

    def _end(self, worker: int) -> None:
        self.waiting.discard(worker)
        if not self.waiting:
            self.complete.set()

    def explanation(self, whole: list[Verdict]) -> EventExplanation:
        """The answer with what has arrived; `whole`: other verdicts on the event as a whole."""
        return EventExplanation(
            [Verdict("whitelisted")] if self._whitelisted else whole,
            sorted(self._found, key=lambda one: one.directive),
            self._omitted,
            sorted(self.waiting | self._failed),
        )
