"""Periodic calls in an event loop."""

import asyncio

import pytest

from shards.periodic import run_every


def test_it_calls_until_the_context_ends() -> None:
    async def run() -> tuple[int, int]:
        calls: list[None] = []
        third = asyncio.Event()

        def act() -> None:
            calls.append(None)
            if len(calls) == 3:
                third.set()

        async with run_every(0.001, act):
            await third.wait()
        during = len(calls)
        await asyncio.sleep(0.01)
        return during, len(calls)

    during, after = asyncio.run(run())
    assert during == after >= 3


def test_an_exception_of_the_call_ends_the_context() -> None:
    def fail() -> None:
        raise ValueError("of the call")

    async def run() -> None:
        async with run_every(0.001, fail):
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as error:
        asyncio.run(run())
    assert error.group_contains(ValueError, match="of the call")


def test_the_next_call_waits_for_one_that_awaits() -> None:
    async def run() -> list[str]:
        steps: list[str] = []
        third = asyncio.Event()

        async def act() -> None:
            steps.append("begins")
            await asyncio.sleep(0.002)
            steps.append("ends")
            if len(steps) == 6:
                third.set()

        async with run_every(0.001, act):
            await third.wait()
        return steps[:6]

    assert asyncio.run(run()) == ["begins", "ends"] * 3
