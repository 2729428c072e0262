"""When the frontend is to hold back, and when no longer; times in seconds of a steady clock."""


class Overload:
    """Told of events that were taken late, and of the time; says what to tell the frontend."""

    def __init__(self, hold_seconds: float) -> None:
        self._hold = hold_seconds
        self._last = 0.0
        self._on = False

    def late(self, now: float) -> bool:
        """An event was taken late; whether to say so: not again before it is over."""
        self._last = now
        begins, self._on = not self._on, True
        return begins

    def over(self, now: float) -> bool:
        """Whether to say that it is over: none was late for the hold duration."""
        ends = self._on and now - self._last >= self._hold
        if ends:
            self._on = False
        return ends
