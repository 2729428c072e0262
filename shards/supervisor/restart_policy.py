"""When a child that died is started again, and when the supervisor gives up.

A file of its own, since it is pure and the supervisor is not: tests need no process.
"""

from collections import deque

MAX_DEATHS = 5
WINDOW_SECONDS = 60.0
FIRST_DELAY_SECONDS = 0.1
START_RETRY_SECONDS = 2.0
"""Delay after a start that failed since the system had no descriptors, memory or processes left."""


class RestartPolicy:
    """Exponential backoff over the deaths of one child within a window."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    def next_delay(self, now: float) -> float | None:
        """Record a death; returns seconds until the restart, None after MAX_DEATHS in the window.

        `now` in seconds of a monotonic clock.
        """
        self._deaths.append(now)
        recent = [death for death in self._deaths if now - death < WINDOW_SECONDS]
        if len(recent) == MAX_DEATHS:
            return None
        return FIRST_DELAY_SECONDS * (1 << (len(recent) - 1))
