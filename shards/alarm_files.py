"""The two alarm files: whole lines are appended, never parts of lines.

Other programs may append to the same files and read them. Every writer holds a shared lock on the
file; only one that gets the exclusive lock is alone and may cut off what a full disk left.
"""

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from loguru import logger

from engine.correlation.outputs import Outputs
from shards.file_lock import lock_file
from shards.file_position import FilePosition, FilePositions, end_of_file

ALARMS = "siem_alarms.json"
ALARM_EVENTS = "siem_alarm_events.json"
_BUFFER_BYTES = 1 << 18
_MAX_TORN_BYTES = 1 << 24
"""A longer end without a newline is not a torn line of this program: it stays as it is."""
_NO_SYNC = {errno.EINVAL, errno.EROFS, errno.ENOTSUP}
"""Errors of fsync(2) for a file that it does not support: another attempt would not help."""
_MAX_ROTATED = 4
"""Old files that wait for a sync; more are only there if nobody asks for one, or if it fails."""


class LineFile:
    """A file to which whole lines are appended."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and repair a torn last line. OSError if that fails."""
        self.path = path
        self._fd = -1
        self._torn = False
        self._is_synced = True
        self._is_no_sync_logged = False
        self._syncing = asyncio.Lock()
        self._rotated: list[int] = []
        """Descriptors of files that rotation took away before they were synced."""
        self._open()

    def _open(self) -> None:
        """Open the file in place of the one that is open, which stays open if that fails."""
        fd, torn = self._fd, self._torn
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._torn = False
        try:
            with self._named_errors():
                lock_file(self._fd, fcntl.LOCK_SH, self.path)
                self._repair_last_line()
        except OSError:
            os.close(self._fd)
            self._fd, self._torn = fd, torn
            raise
        if fd >= 0:
            self._leave(fd)

    def _leave(self, fd: int) -> None:
        """Close a file after a rotation; if a checkpoint may rest on its lines, once it is synced.

        It may be synced at the moment: that can fail.
        """
        if self._is_synced and not self._syncing.locked():
            os.close(fd)
            return
        self._is_synced = True  # nothing is in the new file
        self._rotated.append(fd)
        if len(self._rotated) > _MAX_ROTATED:
            os.close(self._rotated.pop(0))

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Add the name of the file to errors of its descriptor."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _repair_last_line(self) -> None:
        """Cut off a torn last line; if others use the file, end it with the next write."""
        size = os.fstat(self._fd).st_size
        if size == 0 or os.pread(self._fd, 1, size - 1) == b"\n":
            return
        start = max(0, size - _MAX_TORN_BYTES)
        before, newline, tail = os.pread(self._fd, size - start, start).rpartition(b"\n")
        ours = bool(newline) or start == 0
        with self._exclusive() as alone:
            if alone and ours and not is_json(tail):
                os.ftruncate(self._fd, start + len(before) + len(newline))
            else:
                self._torn = True

    def append(self, lines: bytearray) -> None:
        """Write lines that end in a newline, and remove what is written from `lines`.

        OSError if not all could be written: the rest stays in `lines`, to be retried.
        """
        self._is_synced = False
        with self._named_errors():
            if self._torn:
                self._write(bytearray(b"\n"))
                self._torn = False
            self._write(lines)

    def _write(self, lines: bytearray) -> None:
        """Write until all is written or an error occurs; a short write gives no reason."""
        written = 0
        try:
            with memoryview(lines) as view:
                while written < len(view):
                    written += os.write(self._fd, view[written:])
        finally:
            whole = written if written == len(lines) else lines.rfind(b"\n", 0, written) + 1
            del lines[:whole]
            if written > whole:
                self._undo_partial_line(written - whole)

    def _undo_partial_line(self, torn: int) -> None:
        """Cut off the last bytes written; if others use the file, a newline follows later."""
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        with self._exclusive() as alone:
            if alone and os.fstat(self._fd).st_size == end:
                os.ftruncate(self._fd, end - torn)
            else:
                self._torn = True

    @contextmanager
    def _exclusive(self) -> Iterator[bool]:
        """Try to get the exclusive lock; yields whether no other writer has the file open."""
        try:
            lock_file(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, self.path)
            yield True
        except BlockingIOError:
            yield False
        finally:
            lock_file(self._fd, fcntl.LOCK_SH, self.path)

    def end(self) -> FilePosition:
        """The end of the file. OSError if it cannot be read."""
        with self._named_errors():
            return end_of_file(self._fd)

    async def sync(self) -> None:
        """Wait until what was appended is on the disk; OSError if that fails.

        Where the file system cannot tell, that counts as done.
        """
        async with self._syncing:  # what another call syncs is not on the disk before that returns
            while self._rotated:
                await self._sync_descriptor(self._rotated[0])
                os.close(self._rotated.pop(0))
            if not self._is_synced:
                self._is_synced = True
                try:
                    await self._sync_descriptor(self._fd)
                except BaseException:
                    self._is_synced = False
                    raise

    async def _sync_descriptor(self, fd: int) -> None:
        """Sync a file in a thread."""
        with self._named_errors():
            duplicate = os.dup(fd)  # a rotation may close it meanwhile
            try:
                await asyncio.to_thread(os.fsync, duplicate)
            except OSError as error:
                if error.errno not in _NO_SYNC:
                    raise
                self._log_no_sync(error)
            finally:
                os.close(duplicate)

    def _log_no_sync(self, error: OSError) -> None:
        if not self._is_no_sync_logged:
            self._is_no_sync_logged = True
            logger.warning(
                f"alarms may be lost if the machine fails: {self.path}: {error.strerror}"
            )

    def reopen_if_renamed(self) -> None:
        """Open a new file if rotation has renamed or removed the open one."""
        try:
            there, here = self.path.stat(), os.fstat(self._fd)
            if (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev):
                return
        except FileNotFoundError:
            pass
        self._open()

    def close(self) -> None:
        """Close the file, and old ones."""
        for fd in (self._fd, *self._rotated):
            os.close(fd)
        self._rotated.clear()


def is_json(line: bytes) -> bool:
    """Whether a line is complete, even if no newline follows."""
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


class AlarmFiles:
    """Both files of a log folder, buffered; `flush` before reporting that lines are written."""

    def __init__(self, folder: Path) -> None:
        """Open the files, and create them and the folder if missing. OSError if that fails."""
        folder.mkdir(parents=True, exist_ok=True)
        self._alarms = LineFile(folder / ALARMS)
        self._alarm_events = LineFile(folder / ALARM_EVENTS)
        self._encoder = msgspec.json.Encoder()
        self._buffers = {self._alarm_events: bytearray(), self._alarms: bytearray()}

    @property
    def paths(self) -> tuple[Path, Path]:
        """The alarms file and the alarm events file."""
        return self._alarms.path, self._alarm_events.path

    @property
    def unwritten(self) -> int:
        """Bytes that wait for a flush, or for space on the disk."""
        return sum(map(len, self._buffers.values()))

    def write(self, outputs: Outputs) -> None:
        """Write the lines of these outputs, at the next flush at the latest."""
        alarms = [publish.alarm for publish in outputs.published]
        self.add(self._lines(outputs.alarm_events), self._lines(alarms))
        if self.unwritten >= _BUFFER_BYTES:
            self.flush()

    def _lines(self, records: Sequence[msgspec.Struct]) -> bytes:
        return self._encoder.encode_lines(records) if records else b""

    def add(self, alarm_events: bytes, alarms: bytes) -> None:
        """Add whole lines for both files, to be written at the next flush."""
        self._buffers[self._alarm_events] += alarm_events
        self._buffers[self._alarms] += alarms

    def flush(self) -> None:
        """Write all lines, alarm events before alarms.

        OSError if that fails; a later flush writes the rest.
        """
        for file, buffer in self._buffers.items():
            if buffer:
                file.append(buffer)

    def ends(self) -> FilePositions:
        """Where the lines written so far end. OSError if the files cannot be read."""
        return FilePositions(time.time_ns(), self._alarms.end(), self._alarm_events.end())

    async def sync(self) -> None:
        """Wait until all lines that were written are on the disk; OSError if that fails."""
        for file in self._buffers:
            await file.sync()

    def reopen_if_renamed(self) -> None:
        """Open new files after a rotation. OSError if that fails; the old ones stay in use.

        If it fails for one file, it is done for the other one all the same.
        """
        fault: OSError | None = None
        for file in self._buffers:
            try:
                file.reopen_if_renamed()
            except OSError as error:
                fault = fault or error
        if fault:
            raise fault

    def close(self) -> None:
        """Flush, and close both files even if the flush fails."""
        try:
            self.flush()
        finally:
            for file in self._buffers:
                file.close()
