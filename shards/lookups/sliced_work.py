"""Long work in the thread of a loop, a slice at a time, so that the loop is never held up.

What may live here: when work goes on. What may not: what the work is.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice


class SlicedWork:
    """Takes steps of work in the order in which it came, `size` of them at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self._loop = loop
        self._size = size
        self._rest: deque[Iterator[None]] = deque()
        self._is_due = False

    def run(self, work: Iterator[None]) -> None:
        """Do work: the first slice at once, unless there is other work, and the rest later."""
        if self._rest:
            self._rest.append(work)
        elif self._take(work, self._size) == self._size:
            self._rest.append(work)
            self._go_on_later()

    def clear(self) -> None:
        """Forget what is not done."""
        self._rest.clear()

    def _go_on(self) -> None:
        self._is_due = False
        left = self._size
        try:
            while self._rest and left:
                taken = self._take(self._rest[0], left)
                if taken < left and self._rest:  # which work itself may have cleared
                    self._rest.popleft()
                left -= taken
        finally:
            if self._rest:
                self._go_on_later()

    def _go_on_later(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._go_on)

    def _take(self, work: Iterator[None], most: int) -> int:
        """Take steps, and return how many; fewer than `most` when there are no more."""
        return sum(1 for _ in islice(work, most))
