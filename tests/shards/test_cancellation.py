"""The cancellation of tasks that use libraries."""

import asyncio
from contextlib import suppress

import pytest

from shards.cancellation import cancel


async def ignore(cancellations: int) -> None:
    """A task that goes on after so many cancellations."""
    for _ in range(cancellations):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


@pytest.mark.parametrize("cancellations", [0, 1, 3])
def test_a_task_has_ended_however_many_cancellations_are_lost(cancellations: int) -> None:
    async def run() -> tuple[bool, bool]:
        ignoring = asyncio.create_task(ignore(cancellations))
        other = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        await cancel(ignoring, None, other)
        return ignoring.cancelled(), other.cancelled()

    assert asyncio.run(run()) == (True, True)


def test_ended_tasks_and_their_errors_are_no_trouble() -> None:
    async def fail() -> None:
        raise OSError

    async def run() -> None:
        tasks = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))
        await asyncio.wait(tasks)
        await cancel(*tasks)
        await cancel()

    asyncio.run(run())
