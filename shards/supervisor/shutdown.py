"""The shutdown of the service: stop signals, the request to stop, and the exit code.

SIGTERM, SIGINT and SIGHUP arrive here. The supervisor and its children's tasks share this state.
"""

import asyncio
from collections.abc import Callable

from loguru import logger

from shards.bootstrap import STOP_SIGNALS

GAVE_UP = 1
"""Exit code after the service gave up or was stopped by force."""


class Shutdown:
    """`requested` is set once and stays set."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.exit_code = 0

    @property
    def is_requested(self) -> bool:
        """Whether the service is to stop."""
        return self.requested.is_set()

    def handle_signals(self, force_stop: Callable[[], None]) -> None:
        """Install the signal handlers: the first signal requests a stop, the next one forces it."""

        def on_signal() -> None:
            if self.is_requested:
                force_stop()
            self.requested.set()

        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, on_signal)

    def give_up(self, reason: str) -> None:
        """Log the reason, and stop with exit code 1: serving is not possible any more."""
        logger.error(f"giving up: {reason}")
        self.exit_code = GAVE_UP
        self.requested.set()
