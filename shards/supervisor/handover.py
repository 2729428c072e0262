"""Hands a configuration over to the running children, and lets all of them switch to it at once.

Each child loads it ahead. Once all have, the router switches between two events, and its batches
take the workers along. A child that dies meanwhile is started with the configuration that is
coming, or gets it then, so a switch takes longer but does not fail.
"""

import asyncio
from collections.abc import Mapping

from shards.ipc.child import ChildProcess
from shards.ipc.messages import FromChild, Prepare, Prepared, Switch, Switched
from shards.supervisor.generations import Generation, Generations

_Child = int | None
"""A worker by its number, or the router (None)."""


class Handover:
    """The switch under way, if there is one."""

    def __init__(
        self, generations: Generations, workers: Mapping[int, ChildProcess], worker_count: int
    ) -> None:
        """`workers`: those that run, by number; kept up to date by the owner."""
        self._generations = generations
        self._workers = workers
        self._router: ChildProcess | None = None
        self._all: set[_Child] = {None, *range(worker_count)}
        self._prepared: set[_Child] = set()
        self._connected: set[_Child] = set()
        """Workers with a data pipe from the router that runs, and this router."""
        self._reached = 0
        """The highest position that any worker has had the effect of."""
        self._has_told_router = False
        self._has_switched = asyncio.Event()

    async def switch_to(self, coming: Generation) -> None:
        """Let all children switch to a generation; returns once the router has."""
        self._generations.coming = coming
        self._prepared.clear()
        self._has_told_router = False
        self._has_switched.clear()
        for number, child in self._workers.items():
            part = coming.parts.workers[number]
            child.send_descriptor(Prepare(coming.number), part.descriptor)
        self._prepare_router()
        await self._has_switched.wait()

    def _prepare_router(self) -> None:
        coming = self._generations.coming
        if self._router is not None and coming is not None:
            self._router.send_descriptor(Prepare(coming.number), coming.parts.router.descriptor)

    def router_started(self, router: ChildProcess) -> None:
        """The router runs; a worker that is started has what is coming already."""
        self._router = router
        self._connected = {None}
        self._has_told_router = False
        self._prepare_router()

    def connected(self, worker: int, reached: int) -> None:
        """A worker gets a data pipe from the router, and has read those before to their ends.

        `reached`: the position up to which it, or one before it, has had the effect.
        """
        self._connected.add(worker)
        self._reached = max(self._reached, reached)
        self._tell_router()

    def ended(self, child: _Child) -> None:
        """A child has ended, and all its messages have been taken."""
        self._prepared.discard(child)
        self._connected.discard(child)
        if child is None:
            self._router = None

    def take(self, child: _Child, message: FromChild) -> None:
        """A child has sent a message: it may be about the switch."""
        coming = self._generations.coming
        if coming is None:
            return
        match message:
            case Prepared(coming.number):
                self._prepared.add(child)
                self._tell_router()
            case Switched(coming.number, position):
                self._generations.switched(position)
                self._has_switched.set()

    def _tell_router(self) -> None:
        """Let the router switch if all can; each once, although workers may prepare again.

        A router that was started again may not have got to where the one before it was. Only once
        all workers have read its data pipes to the end is it known how far that was.
        """
        coming = self._generations.coming
        if coming is None or self._router is None or self._has_told_router:
            return
        if self._prepared == self._connected == self._all:
            self._has_told_router = True
            self._router.send(Switch(coming.number, self._reached))
