"""Answers that several pages share: browsers with the same view cost little more than one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_ANSWERS = 16
"""Answers that are kept."""


class SharedAnswers(Generic[T]):
    """Keeps the answers of the last seconds by what was asked, also while they are awaited."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: how long an answer is used again; `clock`: monotonic seconds."""
        self._seconds = seconds
        self._clock = clock
        self._answers: dict[Hashable, tuple[float, asyncio.Task[T]]] = {}
        """By query: when it was asked, and the answer."""

    def __len__(self) -> int:
        return len(self._answers)

    async def get(self, query: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a query, or that to the same one of a moment before; errors too.

        A client that goes away does not take the answer from the others.
        """
        now = self._clock()
        for known, (asked, _) in list(self._answers.items()):
            if now - asked > self._seconds or len(self._answers) >= MAX_ANSWERS:
                del self._answers[known]
        if query not in self._answers:
            self._answers[query] = now, asyncio.create_task(_await(ask))
        return await asyncio.shield(self._answers[query][1])


async def _await(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()
