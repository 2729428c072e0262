"""A circuit breaker: after failures in a row nothing is asked for a while, then one thing is.

What may live here: when to ask. What may not: asking, counting, and a clock: time is an argument.
"""

from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]
"""closed: all is let through; open: nothing; half_open: one is on its way, to see."""


class CircuitBreaker:
    """Opens after `failures` in a row, for `rest` seconds."""

    def __init__(self, failures: int, rest: float) -> None:
        self.state: BreakerState = "closed"
        self.opened = 0
        """How often it has opened."""
        self._most = failures
        self._rest = rest
        self._failures = 0
        self._until = 0.0
        self._turn = 0

    def admit(self, now: float) -> int | None:
        """Return the ticket of one that may be asked, to be handed back; None: it may not."""
        if self.state == "closed":
            return self._turn
        if self.state == "half_open" or now < self._until:
            return None
        self._become("half_open")
        return self._turn

    def report(self, ticket: int, now: float, *, well: bool) -> bool:
        """Take a ticket back, and tell whether the state has changed.

        What was let through before the state last changed says nothing of it any more.
        """
        if ticket != self._turn:
            return False
        self._failures = 0 if well else self._failures + 1
        if well and self.state == "half_open":
            self._become("closed")
        elif not well and self._failures >= self._most:  # as they are when half open
            self._become("open")
            self._until = now + self._rest
            self.opened += 1
        else:
            return False
        return True

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._turn += 1
