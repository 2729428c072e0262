"""How long a small batch waits for more events before it is written.

Each batch wakes its reader up, which costs as much as several events. Nothing waits while the
process has time to spare; the busier it is, the more events share a wake-up.
"""

import time
from collections.abc import Callable

MAX_DELAY_SECONDS = 0.005
"""Delay between two small batches of a process that is busy."""
_SPARE, _BUSY = 0.1, 0.5
"""CPU time for each second: up to which there is no delay, and from which it is the longest."""
_INTERVAL_SECONDS = 0.1
"""Shortest time over which CPU time is measured."""


class BatchDelay:
    """The delay between small batches or reports, from the recent CPU time of this process."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        """`now`, `cpu`: clocks of the time and of the CPU time of this process, in seconds."""
        self._now, self._cpu = now, cpu
        self._since, self._used = now(), cpu()
        self._seconds = 0.0

    def seconds(self) -> float:
        """The delay in seconds, from 0 to MAX_DELAY_SECONDS."""
        now = self._now()
        passed = now - self._since
        if passed >= _INTERVAL_SECONDS:
            used = self._cpu()
            share = (used - self._used) / passed
            self._since, self._used = now, used
            part = (share - _SPARE) / (_BUSY - _SPARE)
            self._seconds = MAX_DELAY_SECONDS * min(max(part, 0.0), 1.0)
        return self._seconds
