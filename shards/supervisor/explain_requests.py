"""Asks the workers what their directives would make of an event, and puts the answers together."""

from collections.abc import Iterable, Sequence

import msgspec

from engine.explain.verdict import Verdict
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ShardExplanation
from shards.ops.event_explanation import MAX_ANSWER_BYTES, EventExplanation, UnknownDirectiveError
from shards.ops.worker_answers import AskWorkers

_ELSEWHERE = "other services of this node have other directives"
_encode = msgspec.json.Encoder().encode


class ExplainRequests:
    """Explains events, and knows which worker has a directive."""

    def __init__(self, ask: AskWorkers) -> None:
        self._ask = ask
        self._worker_of: dict[int, int] = {}
        """By id of a directive."""
        self._is_part = False

    def use_directives(self, by_worker: Sequence[Iterable[int]], *, is_part: bool) -> None:
        """The ids of the directives of each worker; `is_part`: other services have others."""
        self._worker_of = {id_: number for number, ids in enumerate(by_worker) for id_ in ids}
        self._is_part = is_part

    def worker_of(self, directive: int) -> int | None:
        """The worker of a directive; None if no worker of this service has it."""
        return self._worker_of.get(directive)

    async def explain(self, event: bytes, directives: tuple[int, ...]) -> EventExplanation:
        """What the workers answer, as `shards.ops.event_explanation.Explain`."""
        workers = self._workers_with(directives)
        answers = await self._ask(ExplainEvent(event, list(directives)), workers)
        shards = list(answers.decode(ShardExplanation).values())
        found, omitted = _put_together(shards)
        is_whitelisted = any(shard.whitelisted for shard in shards)
        verdicts = [Verdict("whitelisted")] if is_whitelisted else []
        if not (verdicts or directives or found or omitted or answers.missing):
            verdicts = [Verdict("unmatched", detail=_ELSEWHERE if self._is_part else "")]
        return EventExplanation(verdicts, found, omitted, list(answers.missing))

    def _workers_with(self, directives: tuple[int, ...]) -> set[int]:
        """The workers that have these directives, none for none; UnknownDirectiveError."""
        if unknown := [id_ for id_ in directives if id_ not in self._worker_of]:
            ids = ", ".join(map(str, unknown))
            raise UnknownDirectiveError(f"no directive {ids} is enabled in this service")
        return {self._worker_of[id_] for id_ in directives}


def _put_together(
    shards: Sequence[ShardExplanation],
) -> tuple[list[DirectiveExplanation], int]:
    """The explanations of all shards by directive, and how many were left out."""
    found: list[DirectiveExplanation] = []
    omitted, left = sum(shard.omitted for shard in shards), MAX_ANSWER_BYTES
    for explanation in (one for shard in shards for one in shard.directives):
        if (size := len(_encode(explanation))) > left:
            omitted += 1
        else:
            left -= size
            found.append(explanation)
    return sorted(found, key=lambda one: one.directive), omitted
