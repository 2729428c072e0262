"""The two alarm files: whole lines appended, never half of one."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.outputs import Outputs

ALARMS = "siem_alarms.json"
ALARM_EVENTS = "siem_alarm_events.json"
_BUFFER_BYTES = 1 << 18


class LineFile:
    """A file to which whole lines are appended; it may have other writers and be read meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; OSError as usual. A torn last line is ended first."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")

    def append(self, lines: bytes) -> None:
        """Write lines that end in a newline; OSError when they do not fit, and then none is there.

        What a full disk took of them is cut off again, unless somebody has written behind it.
        """
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self._cut(len(lines) - len(rest))
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _cut(self, written: int) -> None:
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        if written and os.fstat(self._fd).st_size == end:
            os.ftruncate(self._fd, end - written)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class AlarmFiles:
    """Both files of a log folder, buffered; `flush` before anybody is told that lines are there."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is missing, and open or make the files; OSError as usual."""
        folder.mkdir(parents=True, exist_ok=True)
        self._alarms = LineFile(folder / ALARMS)
        self._alarm_events = LineFile(folder / ALARM_EVENTS)
        self._encoder = msgspec.json.Encoder()
        self._buffered: dict[LineFile, bytearray] = {
            self._alarm_events: bytearray(),
            self._alarms: bytearray(),
        }

    @property
    def paths(self) -> tuple[Path, Path]:
        """The alarms file and the alarm events file."""
        return self._alarms.path, self._alarm_events.path

    def write(self, outputs: Outputs) -> None:
        """Write the lines of these outputs, at the latest at the next flush."""
        if outputs.alarm_events:
            self._add(self._alarm_events, outputs.alarm_events)
        if outputs.publishes:
            self._add(self._alarms, [publish.alarm for publish in outputs.publishes])

    def _add(self, file: LineFile, records: Sequence[msgspec.Struct]) -> None:
        buffer = self._buffered[file]
        buffer += self._encoder.encode_lines(records)
        if len(buffer) >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand all buffered lines to the operating system, events before alarms."""
        for file, buffer in self._buffered.items():
            if buffer:
                file.append(bytes(buffer))
                buffer.clear()

    def close(self) -> None:
        """Flush, and close both files."""
        self.flush()
        for file in self._buffered:
            file.close()
