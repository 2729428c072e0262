"""The limit of work per turn of the event loop."""

import asyncio

from shards.lookups.turn_limit import TurnLimit
from tests.support.lookup_service import in_loop


@in_loop
async def test_other_tasks_run_after_each_so_many_steps() -> None:
    done: list[str] = []

    async def work(name: str, steps: int) -> None:
        turn = TurnLimit(3)
        for step in range(steps):
            done.append(f"{name}{step}")
            await turn.step()

    await asyncio.gather(work("a", 7), work("b", 4))
    assert done == ["a0", "a1", "a2", "b0", "b1", "b2", "a3", "a4", "a5", "b3", "a6"]
