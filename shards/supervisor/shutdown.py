"""Whether the service is to stop, and with which exit code.

A file of its own, since the supervisor and the children's tasks share this state.
"""

import asyncio

from loguru import logger

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

    def give_up(self, reason: str) -> None:
        """Log the reason, and stop with exit code 1: serving is not possible any more."""
        logger.error(f"giving up: {reason}")
        self.exit_code = GAVE_UP
        self.requested.set()
