"""Configurations are loaded ahead, in a thread, one after the other, and taken when they begin."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from multiprocess.connection import Connection, Pipe

from shards.ipc.control import ControlChannel
from shards.ipc.fork_server import FAILED
from shards.ipc.framing import decode_from_child
from shards.ipc.messages import Prepared
from shards.ipc.preparations import Preparations
from shards.ipc.shared_value import SharedValue
from shards.progress import TrackProgress, pausing, untracked

DEADLINE = 60.0


class Child:
    """Preparations of a child, with the supervisor's end of its control pipe."""

    def __init__(self) -> None:
        self._pipe, child_end = Pipe()
        self._child_end: Connection = child_end
        self.loads: list[tuple[int, bool, TrackProgress]] = []
        """By load: generation, whether it was in the main thread, and how it tracked progress."""
        self.may_load = threading.Event()
        self.may_load.set()
        self.preparations: Preparations[str] = Preparations(ControlChannel(child_end), self._load)

    def _load(self, generation: int, value: SharedValue, track_progress: TrackProgress) -> str:
        is_main = threading.current_thread() is threading.main_thread()
        self.loads.append((generation, is_main, track_progress))
        if not is_main:
            assert self.may_load.wait(DEADLINE)
        return f"{generation}: {value.load()}"

    def add(self, *generations: int) -> list[SharedValue]:
        values = [SharedValue.of(f"content {generation}") for generation in generations]
        for generation, value in zip(generations, values, strict=True):
            self.preparations.add(generation, value)
        return values

    def take(self, generation: int) -> str:
        return self.preparations.take(generation, untracked)

    @property
    def prepared(self) -> list[int]:
        """What it has reported since the last look."""
        found: list[int] = []
        while self._pipe.poll():
            message = decode_from_child(self._pipe.recv_bytes())
            assert isinstance(message, Prepared)
            found.append(message.generation)
        return found

    async def until_begun(self, number: int) -> None:
        """Wait until so many loads have begun."""
        while len(self.loads) < number:
            await asyncio.sleep(0.001)

    async def until_idle(self) -> None:
        """Wait for all loads."""
        task = self.preparations._task
        assert task is not None
        await task

    def close(self) -> None:
        self.may_load.set()
        self._pipe.close()
        self._child_end.close()


def play(story: Callable[[Child], Awaitable[None]]) -> None:
    async def bounded() -> None:
        child = Child()
        try:
            async with asyncio.timeout(DEADLINE):
                await story(child)
        finally:
            child.close()

    asyncio.run(bounded())


def test_it_is_loaded_in_a_thread_and_reported_and_taken_at_once() -> None:
    async def story(child: Child) -> None:
        (value,) = child.add(2)
        await child.until_idle()
        assert child.prepared == [2]
        assert value._handle.closed
        assert child.take(2) == "2: content 2"
        assert child.loads == [(2, False, pausing)]

    play(story)


def test_several_are_loaded_one_after_the_other() -> None:
    async def story(child: Child) -> None:
        child.may_load.clear()
        child.add(2, 3)
        await child.until_begun(1)
        child.add(4)
        assert [generation for generation, *_ in child.loads] == [2]
        assert child.prepared == []
        child.may_load.set()
        await child.until_idle()
        assert child.prepared == [2, 3, 4]
        assert [child.take(number) for number in (2, 3, 4)] == [
            f"{number}: content {number}" for number in (2, 3, 4)
        ]
        child.add(5)
        await child.until_idle()
        assert child.prepared == [5]

    play(story)


def test_one_that_begins_before_it_is_loaded_is_loaded_now() -> None:
    """The thread pauses, so it would take longer; what it makes of it is not used."""

    async def story(child: Child) -> None:
        child.may_load.clear()
        child.add(2, 3)
        await child.until_begun(1)
        assert child.take(2) == "2: content 2"
        assert child.take(3) == "3: content 3"
        assert [load for load in child.loads if load[1]] == [
            (2, True, untracked),
            (3, True, untracked),
        ]
        child.may_load.set()
        await child.until_idle()
        assert child.prepared == []
        assert [generation for generation, *_ in child.loads] == [2, 2, 3]

    play(story)


def test_one_that_begins_lets_all_before_it_be_forgotten() -> None:
    async def story(child: Child) -> None:
        child.add(2)
        await child.until_idle()
        child.may_load.clear()
        child.add(3, 4, 5)
        await child.until_begun(2)
        assert child.take(4) == "4: content 4"
        child.may_load.set()
        await child.until_idle()
        assert child.prepared == [2, 5]
        assert child.take(5) == "5: content 5"
        assert (child.preparations._loaded, child.preparations._waiting) == ({}, {})

    play(story)


def test_one_that_cannot_be_loaded_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be waited for otherwise; the next one is started with it."""

    class EndError(Exception):
        pass

    def end(code: int) -> Any:
        raise EndError(code)

    monkeypatch.setattr(os, "_exit", end)

    def load(*_: object) -> str:
        raise ValueError("a test")

    async def run() -> None:
        pipe, child_end = Pipe()
        failing: Preparations[str] = Preparations(ControlChannel(child_end), load)
        failing.add(2, SharedValue.of(1))
        assert failing._task is not None
        with pytest.raises(EndError, match=str(FAILED)):
            await failing._task
        assert not pipe.poll()
        pipe.close()
        child_end.close()

    asyncio.run(run())
