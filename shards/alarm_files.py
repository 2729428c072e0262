"""The two alarm files: whole lines appended, never half of one.

Others may append to the same files, and read them meanwhile. Every writer of ours holds a shared
lock on the file; only who gets the exclusive one is alone, and may cut off what a full disk left.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.correlation.outputs import Outputs

ALARMS = "siem_alarms.json"
ALARM_EVENTS = "siem_alarm_events.json"
_BUFFER_BYTES = 1 << 18
_LONGEST_TAIL = 1 << 24
"""A longer end of a file without a newline is no torn line of ours: it is left as it is."""


class LineFile:
    """A file to which whole lines are appended."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; OSError as usual. A torn last line does not spoil the next."""
        self.path = path
        self._fd = -1
        self._torn = False
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        self._torn = False
        self._mend()

    def _mend(self) -> None:
        """Cut off a last line that was torn, or end it."""
        size = os.fstat(self._fd).st_size
        if size == 0 or os.pread(self._fd, 1, size - 1) == b"\n":
            return
        start = max(0, size - _LONGEST_TAIL)
        before, newline, tail = os.pread(self._fd, size - start, start).rpartition(b"\n")
        ours = bool(newline) or start == 0
        with self._alone() as alone:
            if alone and ours and not _is_json(tail):
                os.ftruncate(self._fd, start + len(before) + len(newline))
            else:
                self._torn = True

    def append(self, lines: bytearray) -> None:
        """Write lines that end in a newline, and take what is written out of `lines`.

        OSError when they do not all fit: the rest stays in `lines`, to be tried again.
        """
        try:
            if self._torn:
                self._write(bytearray(b"\n"))
                self._torn = False
            self._write(lines)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _write(self, lines: bytearray) -> None:
        """Write until all is written or an error says why not: a short write does not say it."""
        written = 0
        try:
            with memoryview(lines) as view:
                while written < len(view):
                    written += os.write(self._fd, view[written:])
        finally:
            whole = written if written == len(lines) else lines.rfind(b"\n", 0, written) + 1
            del lines[:whole]
            if written > whole:
                self._untear(written - whole)

    def _untear(self, torn: int) -> None:
        """Cut off the last bytes that were written, or remember that they need a newline."""
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        with self._alone() as alone:
            if alone and os.fstat(self._fd).st_size == end:
                os.ftruncate(self._fd, end - torn)
            else:
                self._torn = True

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody else of our kind has the file open."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_SH)

    def reopen_if_renamed(self) -> None:
        """Go on in a new file when rotation has renamed the one that is open, or removed it."""
        try:
            there, here = self.path.stat(), os.fstat(self._fd)
            if (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev):
                return
        except FileNotFoundError:
            pass
        old = self._fd
        self._open()
        os.close(old)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


class AlarmFiles:
    """Both files of a log folder, buffered; `flush` before anybody is told that lines are there."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is missing, and open or make the files; OSError as usual."""
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
        """Bytes that wait for a flush, or for room on the disk."""
        return sum(map(len, self._buffers.values()))

    def write(self, outputs: Outputs) -> None:
        """Write the lines of these outputs, at the latest at the next flush."""
        alarms = [publish.alarm for publish in outputs.published]
        self.add(self._lines(outputs.alarm_events), self._lines(alarms))
        if self.unwritten >= _BUFFER_BYTES:
            self.flush()

    def _lines(self, records: Sequence[msgspec.Struct]) -> bytes:
        return self._encoder.encode_lines(records) if records else b""

    def add(self, alarm_events: bytes, alarms: bytes) -> None:
        """Take whole lines for both files, to be written at the next flush."""
        self._buffers[self._alarm_events] += alarm_events
        self._buffers[self._alarms] += alarms

    def flush(self) -> None:
        """Hand all lines to the operating system, events before alarms.

        OSError when that fails; what is not written then is written by a later flush.
        """
        for file, buffer in self._buffers.items():
            if buffer:
                file.append(buffer)

    def reopen_if_renamed(self) -> None:
        """Go on in new files after a rotation; OSError as usual, and then the old ones stay."""
        for file in self._buffers:
            file.reopen_if_renamed()

    def close(self) -> None:
        """Flush, and close both files, whatever comes of the flush."""
        try:
            self.flush()
        finally:
            for file in self._buffers:
                file.close()
