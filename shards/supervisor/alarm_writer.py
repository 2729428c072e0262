"""What the workers write, on its way into the files: waits while the disk is full."""

import asyncio

from loguru import logger

from shards.alarm_files import AlarmFiles
from shards.ipc.messages import WorkerReport

RETRY_SECONDS = 1.0
"""How often a full disk is tried again, and a rotation looked for."""


class AlarmWriter:
    """The alarm files, for coroutines; none of them goes on before its lines are written."""

    def __init__(self, files: AlarmFiles) -> None:
        self._files = files
        self._gave_up = False
        self._full = self._stuck = ""
        self.errors = 0
        """How often something could not be written, each try counted."""

    @property
    def trouble(self) -> str:
        """Why lines cannot be written at the moment, or not into a new file."""
        return self._full or self._stuck

    async def write(self, report: WorkerReport) -> None:
        """Write the lines of a report, when there is room for them."""
        self._files.add(report.alarm_events, report.alarms)
        while not self._flush() and not self._gave_up:
            await asyncio.sleep(RETRY_SECONDS)

    def _flush(self) -> bool:
        try:
            self._files.flush()
        except OSError as error:
            self.errors += 1
            self._full = _say_once(self._full, "alarms cannot be written, workers wait", error)
            return False
        if self._full:
            logger.info("alarms are written again")
            self._full = ""
        return True

    def reopen_if_renamed(self) -> None:
        """Go on in new files after a rotation; while that fails, in the old ones."""
        try:
            self._files.reopen_if_renamed()
        except OSError as error:
            self.errors += 1
            text = "no new alarm files, alarms still go into the old ones"
            self._stuck = _say_once(self._stuck, text, error)
        else:
            self._stuck = ""

    def give_up(self) -> None:
        """Wait no longer for room on the disk."""
        self._gave_up = True

    def close(self) -> None:
        """Write what can be written, and close the files; says what could not."""
        try:
            self._files.close()
        except OSError as error:
            lost = self._files.unwritten
            logger.error(
                f"{lost} bytes of alarm lines are lost: {error.filename}: {error.strerror}"
            )


def _say_once(before: str, text: str, error: OSError) -> str:
    """Log what is wrong, unless it was already; returns it."""
    trouble = f"{error.filename}: {error.strerror}"
    if trouble != before:
        logger.error(f"{text}: {trouble}")
    return trouble
