"""Wall time that does not jump unnoticed.

A leaf of its own: whatever decides by wall time reads it here.
"""

import time
from collections.abc import Callable

from loguru import logger

_STEP_SECONDS = 1.0
"""A smaller difference between the two clocks is not followed: it would turn back whole seconds."""


class WallClock:
    """Wall time, anchored once and advanced by the monotonic clock.

    If the system's wall clock was set, forwards or back, the next `now` logs it and follows.
    Between two such steps, time never goes back.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def now(self) -> int:
        """Whole seconds since the epoch."""
        monotonic = self._monotonic()
        step = self._wall() - monotonic - self._offset
        if abs(step) >= _STEP_SECONDS:
            self._offset += step
            logger.bind(seconds=round(step, 1)).warning("the system clock was set, and is followed")
        return int(monotonic + self._offset)
