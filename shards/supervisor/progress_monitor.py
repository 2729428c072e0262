"""Measures for how long a process has made no progress.

A file of its own, since it is pure and the supervisor is not: tests need no process.
"""

MAX_STEP_SECONDS = 2.0
"""Longest time that one sample adds: a supervisor that was stopped itself accuses nobody."""


class ProgressMonitor:
    """The progress of one run of a process; to be sampled about once a second.

    `silent_seconds`: without a message; `idle_seconds`: without a processed event while events
    wait for it.
    """

    def __init__(self, now: float) -> None:
        """`now` in seconds of a monotonic clock."""
        self.silent_seconds = 0.0
        self.idle_seconds = 0.0
        self._sampled_at = now
        self._messages = 0
        self._processed = 0

    @property
    def stalled_seconds(self) -> float:
        """Seconds without progress of either kind."""
        return max(self.silent_seconds, self.idle_seconds)

    def sample(self, now: float, messages: int, processed: int, *, waiting: bool) -> None:
        """Take the totals of messages and of processed events; `waiting`: events wait for it."""
        step = min(now - self._sampled_at, MAX_STEP_SECONDS)
        self.silent_seconds = 0.0 if messages != self._messages else self.silent_seconds + step
        moved = processed != self._processed or not waiting
        self.idle_seconds = 0.0 if moved else self.idle_seconds + step
        self._sampled_at, self._messages, self._processed = now, messages, processed

    def excuse(self, now: float) -> None:
        """Take the time until now as progress: the process waits for the supervisor."""
        self.silent_seconds = self.idle_seconds = 0.0
        self._sampled_at = now
