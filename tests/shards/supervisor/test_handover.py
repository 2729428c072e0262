"""A switch of all children to another configuration, whichever of them ends meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from shards.ipc.messages import Prepare, Prepared, Progress, Switch, Switched, ToChild
from shards.supervisor.generations import Generation, Generations
from shards.supervisor.handover import Handover
from tests.support.generations import generation


class Child:
    """What a child was sent."""

    def __init__(self) -> None:
        self.sent: list[ToChild] = []
        self.descriptors: list[int] = []

    def send(self, message: ToChild) -> None:
        self.sent.append(message)

    def send_descriptor(self, message: ToChild, descriptor: int) -> None:
        self.sent.append(message)
        self.descriptors.append(descriptor)


class Service:
    """Two workers and a router, generation 1, and a switch to generation 2 that has begun."""

    def __init__(self) -> None:
        self.generations = Generations(
            generation([1], [2]), 2, has_checkpoints=True, has_stream=True
        )
        self.coming = generation([1], [2], number=2)
        self.workers: dict[int, Any] = {0: Child(), 1: Child()}
        self.handover = Handover(self.generations, self.workers, 2)
        self.router = self.start_router()
        self.switching = asyncio.create_task(self._switch_to(self.coming))

    async def _switch_to(self, coming: Generation) -> None:
        await self.handover.switch_to(coming)

    def start_router(self, *, connects: bool = True) -> Child:
        """Start a router; `connects`: all workers get their pipes from it at once."""
        router = Child()
        self.handover.router_started(cast(Any, router))
        for number in self.workers if connects else ():
            self.handover.connected(number, 0)
        return router

    def start_worker(self, number: int, reached: int = 0) -> None:
        self.workers[number] = Child()  # which is started with what is coming
        self.handover.connected(number, reached)

    def end_worker(self, number: int) -> None:
        del self.workers[number]
        self.handover.ended(number)

    def prepared(self, *children: int | None, generation: int = 2) -> None:
        for child in children:
            self.handover.take(child, Prepared(generation))

    async def is_done(self) -> bool:
        for _ in range(3):
            await asyncio.sleep(0)
        return self.switching.done()


def play(story: Callable[[Service], Awaitable[None]]) -> None:
    async def run() -> None:
        service = Service()
        await asyncio.sleep(0)
        await story(service)
        service.switching.cancel()

    asyncio.run(run())


def test_the_router_switches_once_all_have_prepared() -> None:
    async def story(service: Service) -> None:
        workers, router, parts = service.workers, service.router, service.coming.parts
        for number in (0, 1):
            assert workers[number].sent == [Prepare(2)]
            assert workers[number].descriptors == [parts.workers[number].descriptor]
        assert router.sent == [Prepare(2)]
        assert router.descriptors == [parts.router.descriptor]
        service.prepared(1, None)
        assert len(router.sent) == 1
        service.prepared(0)
        assert router.sent == [Prepare(2), Switch(2)]
        assert not await service.is_done()
        assert service.generations.current.number == 1
        service.handover.take(None, Switched(2, 70))
        assert await service.is_done()
        assert (service.generations.current.number, service.generations.current.after) == (2, 70)
        assert service.generations.coming is None

    play(story)


def test_other_messages_and_other_generations_do_not_count() -> None:
    async def story(service: Service) -> None:
        service.prepared(0, 1, None, generation=1)
        service.handover.take(0, Progress())
        service.handover.take(None, Switched(1))
        service.prepared(0, 0, 1)
        assert service.router.sent == [Prepare(2)]
        assert not await service.is_done()

    play(story)


def test_a_worker_that_ends_before_the_switch_has_to_prepare_again() -> None:
    async def story(service: Service) -> None:
        service.prepared(0, 1)
        service.end_worker(0)
        service.prepared(None)
        assert service.router.sent == [Prepare(2)]
        service.start_worker(0)
        service.prepared(0)
        assert service.router.sent == [Prepare(2), Switch(2)]
        assert service.workers[0].sent == []

    play(story)


def test_a_worker_that_does_not_run_at_the_beginning_is_waited_for() -> None:
    async def run() -> None:
        service = Service()
        service.end_worker(1)
        await asyncio.sleep(0)
        service.prepared(0, None)
        assert service.router.sent == [Prepare(2)]
        service.start_worker(1)
        service.prepared(1)
        assert service.router.sent == [Prepare(2), Switch(2)]
        service.switching.cancel()

    asyncio.run(run())


def test_a_worker_that_prepares_again_lets_the_router_switch_no_second_time() -> None:
    """It has died after the switch was asked for, and the router has not done it yet."""

    async def story(service: Service) -> None:
        service.prepared(0, 1, None)
        service.end_worker(0)
        service.start_worker(0)
        service.prepared(0)
        assert service.router.sent.count(Switch(2)) == 1

    play(story)


def test_a_router_that_ends_before_it_has_switched_is_followed_by_one_that_does() -> None:
    async def story(service: Service) -> None:
        service.prepared(0, 1, None)
        service.handover.ended(None)
        service.prepared(0)  # nobody is there to be told
        second = service.start_router()
        assert second.sent == [Prepare(2)]
        assert not await service.is_done()
        service.prepared(None)
        assert second.sent == [Prepare(2), Switch(2)]
        service.handover.take(None, Switched(2, 5))
        assert await service.is_done()

    play(story)


def test_a_router_switches_behind_all_that_workers_have_got_from_the_one_before() -> None:
    """It may be told to switch long before it has read again what that one had routed."""

    async def story(service: Service) -> None:
        service.handover.ended(None)
        second = service.start_router(connects=False)
        service.prepared(0, 1, None)
        assert second.sent == [Prepare(2)]
        service.handover.connected(1, 70)
        assert second.sent == [Prepare(2)]
        service.handover.connected(0, 60)
        assert second.sent == [Prepare(2), Switch(2, 70)]

    play(story)


def test_a_worker_that_was_ahead_and_has_died_counts_too() -> None:
    async def story(service: Service) -> None:
        service.handover.ended(None)
        second = service.start_router(connects=False)
        service.handover.connected(0, 90)
        service.end_worker(0)
        service.handover.connected(1, 60)
        service.prepared(1, None)
        service.start_worker(0, reached=50)
        assert second.sent == [Prepare(2)]
        service.prepared(0)
        assert second.sent == [Prepare(2), Switch(2, 90)]

    play(story)


def test_without_a_router_at_the_beginning_the_next_one_switches() -> None:
    async def run() -> None:
        service = Service()
        service.handover.ended(None)
        await asyncio.sleep(0)
        service.prepared(0, 1)
        second = service.start_router()
        service.prepared(None)
        assert second.sent == [Prepare(2), Switch(2)]
        assert service.router.sent == []
        service.switching.cancel()

    asyncio.run(run())


def test_a_router_that_ends_after_it_has_switched_changes_nothing() -> None:
    async def story(service: Service) -> None:
        service.prepared(0, 1, None)
        service.handover.take(None, Switched(2, 5))
        service.handover.ended(None)
        assert service.start_router().sent == []
        assert await service.is_done()

    play(story)


def test_the_next_switch_begins_anew() -> None:
    async def story(service: Service) -> None:
        service.prepared(0, 1, None)
        service.handover.take(None, Switched(2))
        third = generation([1], [2], number=3)
        switching = asyncio.create_task(service.handover.switch_to(third))
        await asyncio.sleep(0)
        service.prepared(0, 1, generation=3)
        assert service.router.sent == [Prepare(2), Switch(2), Prepare(3)]
        service.prepared(None, generation=3)
        assert service.router.sent[-1] == Switch(3)
        service.handover.take(None, Switched(3))
        await switching

    play(story)
