"""A circuit breaker for one lookup source."""

from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]
"""closed: every lookup is admitted; open: none; half_open: one is in progress, as a trial."""


class CircuitBreaker:
    """Opens after `failures` failures in a row, and admits a trial after `open_seconds`."""

    def __init__(self, failures: int, open_seconds: float) -> None:
        self.state: BreakerState = "closed"
        self._failure_limit = failures
        self._open_seconds = open_seconds
        self._failures = 0
        """Failures in a row."""
        self._open_until = 0.0
        self._generation = 0
        """Number of changes of the state."""

    def admit(self, now: float, *, at_once: bool = True) -> int | None:
        """Return the generation to pass to `record`; None if the lookup is not admitted.

        `at_once`: whether the lookup would start now. Otherwise it is no trial: while it waited
        behind lookups that hang, the breaker would stay half open.
        """
        if self.state == "closed":
            return self._generation
        if self.state == "half_open" or now < self._open_until or not at_once:
            return None
        self._change_state("half_open")
        return self._generation

    def record(self, generation: int, now: float, *, success: bool) -> bool:
        """Record the result of an admitted lookup; return whether that changed the state.

        Results of lookups that were admitted before the last change of the state are ignored.
        """
        if generation != self._generation:
            return False
        self._failures = 0 if success else self._failures + 1
        if success and self.state == "half_open":
            self._change_state("closed")
        elif not success and self._failures >= self._failure_limit:  # always so if half open
            self._change_state("open")
            self._open_until = now + self._open_seconds
        else:
            return False
        return True

    def _change_state(self, state: BreakerState) -> None:
        self.state = state
        self._generation += 1
