"""POST /explain in the supervisor: what it asks which workers, and makes of their answers."""

import asyncio
from collections.abc import Iterable

import pytest

from engine.explain.verdict import Verdict
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ShardExplanation
from shards.ipc.queries import WorkerQuery, encode_answer
from shards.ops.event_explanation import EventExplanation, UnknownDirectiveError
from shards.ops.worker_answers import WorkerAnswers
from shards.supervisor.explain_requests import ExplainRequests


class Service:
    """Two workers: the first one has the directives 1 and 2, the second one 3.

    `shards`: what they answer, by number; others are missing. `asked`: what they were asked.
    """

    def __init__(self, *shards: ShardExplanation | None, is_part: bool = False) -> None:
        self.shards = shards
        self.asked: list[tuple[WorkerQuery, set[int]]] = []
        self.requests = ExplainRequests(self._ask)
        self.requests.use_directives([[1, 2], [3]], is_part=is_part)

    async def _ask(self, query: WorkerQuery, workers: Iterable[int] = ()) -> WorkerAnswers:
        self.asked.append((query, set(workers)))
        found = {n: encode_answer(shard) for n, shard in enumerate(self.shards) if shard}
        missing = tuple(n for n, shard in enumerate(self.shards) if shard is None)
        return WorkerAnswers(found, missing)

    def explain(self, *directives: int) -> EventExplanation:
        return asyncio.run(self.requests.explain(b"{}", directives))


def shard_with(*directives: int, name: str = "n", omitted: int = 0) -> ShardExplanation:
    verdicts = [Verdict("opened", 1, 1)]
    explanations = [DirectiveExplanation(id_, name, 0, 1, verdicts) for id_ in directives]
    return ShardExplanation(explanations, omitted=omitted)


def test_the_answers_of_all_workers_are_put_together_by_directive() -> None:
    found = Service(shard_with(3), shard_with(2, 1, omitted=5)).explain()
    assert [one.directive for one in found.directives] == [1, 2, 3]
    assert (found.verdicts, found.directives_omitted, found.shards_missing) == ([], 5, [])


def test_only_the_workers_of_the_selected_directives_are_asked() -> None:
    service = Service(shard_with())
    assert service.explain(3) == EventExplanation([])
    assert service.asked == [(ExplainEvent(b"{}", [3]), {1})]


def test_a_directive_that_is_not_there_is_named() -> None:
    service = Service(shard_with())
    with pytest.raises(UnknownDirectiveError, match="no directive 4, 5 is enabled in this"):
        service.explain(4, 1, 5)
    assert service.asked == []


@pytest.mark.parametrize(
    ("is_part", "detail"),
    [(False, ""), (True, "other services of this node have other directives")],
)
def test_an_event_that_concerns_no_directive_is_unmatched(*, is_part: bool, detail: str) -> None:
    service = Service(shard_with(), shard_with(), is_part=is_part)
    assert service.explain() == EventExplanation([Verdict("unmatched", detail=detail)])


def test_an_event_from_the_whitelist_is_said_to_be() -> None:
    service = Service(ShardExplanation(whitelisted=True), shard_with())
    assert service.explain() == EventExplanation([Verdict("whitelisted")])


def test_workers_that_do_not_answer_are_missing_and_may_have_directives_for_the_event() -> None:
    found = Service(None, shard_with(3)).explain()
    assert [one.directive for one in found.directives] == [3]
    assert (found.verdicts, found.shards_missing) == ([], [0])
    assert Service(None, None).explain() == EventExplanation([], [], 0, [0, 1])


def test_answers_are_kept_up_to_a_size_and_the_rest_is_counted() -> None:
    large = shard_with(*range(50), name="x" * 40_000)
    found = Service(large, large).explain(1)
    assert len(found.directives) == 26
    assert found.directives_omitted == 74
