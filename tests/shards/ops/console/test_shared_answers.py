"""Answers that pages share: the same query is asked once, and what is kept has a bound."""

import asyncio

from shards.ops.console.shared_answers import MAX_ANSWERS, SharedAnswers
from tests.support.history import run


class Asked:
    """Counts how often it is asked; it answers once `ready` is set."""

    def __init__(self) -> None:
        self.times = 0
        self.ready = asyncio.Event()

    async def ask(self) -> int:
        self.times += 1
        await self.ready.wait()
        return self.times


def test_clients_that_ask_the_same_at_one_time_share_an_answer() -> None:
    async def test() -> None:
        asked, answers = Asked(), SharedAnswers[int](1.0)
        clients = [asyncio.create_task(answers.get("query", asked.ask)) for _ in range(3)]
        await asyncio.sleep(0)
        clients[0].cancel()  # the client goes away
        asked.ready.set()
        assert await asyncio.gather(*clients[1:]) == [1, 1]

    run(test())


def test_an_answer_is_used_again_for_some_seconds() -> None:
    async def test() -> None:
        now = 100.0
        asked, answers = Asked(), SharedAnswers[int](1.0, lambda: now)
        asked.ready.set()
        found = []
        for seconds in (0.0, 0.9, 0.2):
            now += seconds
            found.append(await answers.get("query", asked.ask))
        assert found == [1, 1, 2]

    run(test())


def test_the_number_of_answers_has_a_bound() -> None:
    async def test() -> None:
        asked, answers = Asked(), SharedAnswers[int](60.0)
        asked.ready.set()
        for number in range(3 * MAX_ANSWERS):
            await answers.get(number, asked.ask)
            assert len(answers) <= MAX_ANSWERS
        assert asked.times == 3 * MAX_ANSWERS

    run(test())
