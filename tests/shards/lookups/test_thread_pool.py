"""The thread pool of a source: answers, free threads, jobs that hang, systems without threads."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from shards.lookups.plugin_runner import LookupAnswer, LookupOutcome, PluginRunner
from shards.lookups.terms import Term
from shards.lookups.thread_pool import HUNG, NO_THREAD, LookupJob, LookupThreadPool
from tests.support.lookup_service import in_loop

BLOCKING = "1.1.1.1"


class FakeRunner(PluginRunner):
    """Blocks for the term BLOCKING until `released` is set."""

    released = threading.Event()

    def __init__(self) -> None:
        pass

    def create_plugin(self) -> None:
        pass

    def look_up(self, term: Term) -> LookupOutcome:
        if term == BLOCKING:
            self.released.wait()
        return LookupAnswer(())

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _release_threads() -> Iterator[None]:
    FakeRunner.released.clear()
    yield
    FakeRunner.released.set()


def job(term: str) -> LookupJob:
    return LookupJob(term, 0, (1, "a"))


class QueueingPool(LookupThreadPool):
    """Puts all answers on a queue."""

    def __init__(
        self, threads: int, job_seconds: float = 60.0, process_threads: int = 1000
    ) -> None:
        self.answers: asyncio.Queue[tuple[LookupJob, LookupOutcome]] = asyncio.Queue()
        super().__init__("x", threads, process_threads, FakeRunner, job_seconds, self._put)

    def _put(self, job: LookupJob, outcome: LookupOutcome) -> None:
        self.answers.put_nowait((job, outcome))


def end(*pools: LookupThreadPool) -> None:
    FakeRunner.released.set()
    for one in pools:
        one.close()
        one.join(time.monotonic() + 5)
    assert not any(thread.name == "lookup x" for thread in threading.enumerate())


@in_loop
async def test_a_job_is_answered_and_its_thread_is_free_again() -> None:
    one = QueueingPool(threads=1)
    submitted = job("1.1.1.2")
    assert one.has_free_thread()
    one.submit(submitted)
    assert not one.has_free_thread()
    assert await one.answers.get() == (submitted, LookupAnswer(()))
    assert one.has_free_thread()
    end(one)


@in_loop
async def test_a_blocked_thread_does_not_block_the_others() -> None:
    one = QueueingPool(threads=2)
    blocked, quick = job(BLOCKING), job("1.1.1.2")
    one.submit(blocked)
    assert one.has_free_thread()
    one.submit(quick)
    assert (await one.answers.get())[0] is quick
    FakeRunner.released.set()
    assert (await one.answers.get())[0] is blocked
    end(one)


@in_loop
async def test_a_job_that_hangs_is_answered_and_keeps_its_thread() -> None:
    one = QueueingPool(threads=1, job_seconds=0.01)
    blocked = job(BLOCKING)
    one.submit(blocked)
    assert await one.answers.get() == (blocked, HUNG)
    assert not one.has_free_thread()
    FakeRunner.released.set()
    assert await one.answers.get() == (blocked, LookupAnswer(()))
    assert one.has_free_thread()
    end(one)


@in_loop
async def test_after_close_no_job_is_given_up() -> None:
    one = QueueingPool(threads=1, job_seconds=0.01)
    one.submit(job(BLOCKING))
    one.close()
    await asyncio.sleep(0.03)  # three times the limit
    assert one.answers.empty()
    end(one)


@in_loop
async def test_without_threads_jobs_fail_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(thread.name)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    one = QueueingPool(threads=4)
    for number in range(2):
        submitted = job(f"1.1.1.{number}")
        assert one.has_free_thread()
        one.submit(submitted)
        assert not one.has_free_thread()
        assert await one.answers.get() == (submitted, NO_THREAD)
    monkeypatch.undo()
    late = job("1.1.1.9")
    one.submit(late)
    assert await one.answers.get() == (late, LookupAnswer(()))
    end(one)


@in_loop
async def test_no_thread_is_started_while_the_process_has_too_many() -> None:
    most = threading.active_count() + 3
    first = QueueingPool(threads=2, process_threads=most)
    second = QueueingPool(threads=2, process_threads=most)
    third = QueueingPool(threads=2, process_threads=most)
    assert threading.active_count() == most
    submitted = job("1.1.1.2")
    third.submit(submitted)
    assert await third.answers.get() == (submitted, NO_THREAD)
    first.close()
    first.join(time.monotonic() + 5)
    third.submit(submitted)
    assert await third.answers.get() == (submitted, LookupAnswer(()))
    end(second, third)
