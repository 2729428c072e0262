"""A limit of the work per turn of the event loop.

A file of its own, since the lookup service and the worker use it.
"""

import asyncio


class TurnLimit:
    """Lets a loop of one task do at most `steps` iterations per turn of the event loop.

    Awaiting a queue that is not empty, or has room, does not let other tasks run. A loop over a
    queue therefore has to call `step` in each iteration.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._left = steps

    async def step(self) -> None:
        """Count an iteration, and let other tasks run if it was the last one of this turn."""
        self._left -= 1
        if not self._left:
            self._left = self._steps
            await asyncio.sleep(0)
