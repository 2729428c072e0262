"""Writes the workers' lines into the alarm files; waits while the disk is full.

The only writer of the alarm files in a service. Backpressure to the workers begins here.
"""

import asyncio

from loguru import logger

from shards.alarm_files import AlarmFiles
from shards.file_position import FilePositions
from shards.ipc.messages import AlarmLines

RETRY_SECONDS = 1.0
"""Interval for retries on a full disk, and for checks whether the files were rotated."""


class AlarmWriter:
    """The alarm files for coroutines; `write` returns after its lines are in the files."""

    def __init__(self, files: AlarmFiles) -> None:
        self._files = files
        self._gave_up = False
        self._full = self._unsynced = self._stuck = ""
        self.errors = 0
        """Number of failed attempts to write or to open a file."""

    @property
    def trouble(self) -> str:
        """Why lines cannot be written, or new files cannot be opened; "" if they can."""
        return self._full or self._unsynced or self._stuck

    async def write(self, report: AlarmLines) -> bool:
        """Write the lines of a report; retries until the disk has room; False after `give_up`."""
        self._files.add(report.alarm_events, report.alarms)
        while not self._flush() and not self._gave_up:
            await asyncio.sleep(RETRY_SECONDS)
        return not self._gave_up

    def ends(self) -> FilePositions | None:
        """Where the lines written so far end; None if the files cannot be read."""
        try:
            return self._files.ends()
        except OSError:
            self.errors += 1
            return None

    async def sync(self) -> bool:
        """Wait until all that was written is on the disk; False after `give_up`."""
        while not self._gave_up:
            try:
                await self._files.sync()
            except OSError as error:
                self.errors += 1
                text = "alarms cannot be written, workers wait"
                self._unsynced = _log_once(self._unsynced, text, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                if self._unsynced:
                    logger.info("alarms are written again")
                    self._unsynced = ""
                return True
        return False

    def _flush(self) -> bool:
        try:
            self._files.flush()
        except OSError as error:
            self.errors += 1
            self._full = _log_once(self._full, "alarms cannot be written, workers wait", error)
            return False
        if self._full:
            logger.info("alarms are written again")
            self._full = ""
        return True

    def reopen_if_renamed(self) -> None:
        """Open new files after a rotation; while that fails, the old ones stay in use."""
        try:
            self._files.reopen_if_renamed()
        except OSError as error:
            self.errors += 1
            text = "no new alarm files, alarms still go into the old ones"
            self._stuck = _log_once(self._stuck, text, error)
        else:
            self._stuck = ""

    def give_up(self) -> None:
        """Stop retries on a full disk; the unwritten lines are lost."""
        self._gave_up = True

    def close(self) -> None:
        """Write the remaining lines and close the files; logs the number of lost bytes."""
        try:
            self._files.close()
        except OSError as error:
            lost = self._files.unwritten
            logger.error(
                f"{lost} bytes of alarm lines are lost: {error.filename}: {error.strerror}"
            )


def _log_once(before: str, text: str, error: OSError) -> str:
    """Log a trouble unless it equals the one before; returns it."""
    trouble = f"{error.filename}: {error.strerror}"
    if trouble != before:
        logger.error(f"{text}: {trouble}")
    return trouble
