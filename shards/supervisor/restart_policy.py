"""When a child that died is started again, and when it is time to give up."""

from collections import deque

MAX_DEATHS = 5
WINDOW_SECONDS = 60.0
FIRST_DELAY = 0.1


class RestartPolicy:
    """The deaths of one child; times in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    def died(self, now: float) -> float | None:
        """Seconds to wait before the next start; None after too many deaths in a short time."""
        self._deaths.append(now)
        recent = [death for death in self._deaths if now - death < WINDOW_SECONDS]
        if len(recent) == MAX_DEATHS:
            return None
        return FIRST_DELAY * (1 << (len(recent) - 1))
