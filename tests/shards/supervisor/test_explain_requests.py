"""POST /explain in the supervisor: workers that answer, do not, die, or send too much."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from engine.explain.verdict import Verdict
from shards.ipc.explanations import DirectiveExplanation, ExplainEvent, ExplainPart
from shards.ipc.messages import Progress
from shards.ops.event_explanation import EventExplanation, UnknownDirectiveError
from shards.supervisor import explain_requests
from shards.supervisor.explain_requests import ExplainRequests


class Worker:
    """A worker that keeps what it is sent; `full`: its pipe has no room."""

    def __init__(self) -> None:
        self.requests: list[ExplainEvent] = []
        self.full = False

    def send_if_room(self, message: ExplainEvent) -> bool:
        if not self.full:
            self.requests.append(message)
        return not self.full


class Asked:
    """Two workers: the first one has the directives 1 and 2, the second one 3."""

    def __init__(self, *, is_part: bool = False) -> None:
        self.workers: dict[int, Any] = {0: Worker(), 1: Worker()}
        self.requests = ExplainRequests(self.workers)
        self.requests.use_directives([[1, 2], [3]], is_part=is_part)

    async def ask(self, *directives: int) -> "asyncio.Task[EventExplanation]":
        task = asyncio.create_task(self.requests.explain(b"{}", directives))
        await asyncio.sleep(0)
        return task

    def answer(self, worker: int, *parts: ExplainPart) -> None:
        for part in parts:
            self.requests.take(worker, part)


def part(directive: int, number: int = 1, name: str = "n") -> ExplainPart:
    explanation = DirectiveExplanation(directive, name, 0, 1, [Verdict("opened", directive, 1)])
    return ExplainPart(number, explanation)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def test_the_answers_of_all_workers_are_put_together_by_directive() -> None:
    async def ask() -> None:
        asked = Asked()
        task = await asked.ask()
        asked.answer(1, part(3), ExplainPart(1))
        asked.answer(0, part(2), part(1), ExplainPart(1, omitted=5))
        found = await task
        assert [one.directive for one in found.directives] == [1, 2, 3]
        assert (found.verdicts, found.directives_omitted, found.shards_missing) == ([], 5, [])

    run(ask())


def test_only_the_workers_of_the_selected_directives_are_asked() -> None:
    async def ask() -> None:
        asked = Asked()
        task = await asked.ask(3)
        assert asked.workers[0].requests == []
        [request] = asked.workers[1].requests
        assert (request.event, request.directives) == (b"{}", [3])
        asked.answer(1, ExplainPart(1))
        assert await task == EventExplanation([])

    run(ask())


def test_a_directive_that_is_not_there_is_named() -> None:
    async def ask() -> None:
        asked = Asked()
        with pytest.raises(UnknownDirectiveError, match="no directive 4, 5 is enabled in this"):
            await asked.requests.explain(b"{}", (4, 1, 5))
        assert asked.workers[0].requests == []

    run(ask())


@pytest.mark.parametrize(
    ("is_part", "detail"),
    [(False, ""), (True, "other services of this node have other directives")],
)
def test_an_event_that_concerns_no_directive_is_unmatched(*, is_part: bool, detail: str) -> None:
    async def ask() -> None:
        asked = Asked(is_part=is_part)
        task = await asked.ask()
        for worker in (0, 1):
            asked.answer(worker, ExplainPart(1))
        assert await task == EventExplanation([Verdict("unmatched", detail=detail)])

    run(ask())


def test_an_event_from_the_whitelist_is_said_to_be() -> None:
    async def ask() -> None:
        asked = Asked()
        task = await asked.ask()
        asked.answer(0, ExplainPart(1, whitelisted=True))
        asked.answer(1, ExplainPart(1))
        assert await task == EventExplanation([Verdict("whitelisted")])

    run(ask())


def test_a_worker_that_is_down_full_or_dies_is_missing_and_nobody_waits_for_it() -> None:
    async def ask() -> None:
        asked = Asked()
        asked.workers[0].full = True
        task = await asked.ask()
        asked.answer(1, part(3))
        asked.requests.worker_ended(1)
        found = await task
        assert [one.directive for one in found.directives] == [3]
        assert (found.verdicts, found.shards_missing) == ([], [0, 1])
        asked.workers.clear()
        assert await asked.requests.explain(b"{}", ()) == EventExplanation([], [], 0, [0, 1])

    run(ask())


def test_a_worker_that_does_not_answer_in_time_is_missing_and_its_late_answer_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explain_requests, "ANSWER_SECONDS", 0.05)

    async def ask() -> None:
        asked = Asked()
        task = await asked.ask()
        asked.answer(0, part(1), ExplainPart(1))
        found = await task
        assert ([one.directive for one in found.directives], found.shards_missing) == ([1], [1])
        asked.answer(1, part(3), ExplainPart(1))
        task = await asked.ask()
        asked.answer(1, part(3, number=2), ExplainPart(2))
        asked.requests.take(0, Progress())
        asked.answer(0, part(9, number=1), ExplainPart(2))
        assert [one.directive for one in (await task).directives] == [3]

    run(ask())


def test_answers_are_kept_up_to_a_size_and_the_rest_is_counted() -> None:
    async def ask() -> None:
        asked = Asked()
        task = await asked.ask(1)
        asked.answer(0, *(part(id_, name="x" * 40_000) for id_ in range(100)), ExplainPart(1))
        found = await task
        assert len(found.directives) == 26
        assert found.directives_omitted == 74

    run(ask())
