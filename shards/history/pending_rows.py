"""What waits for the next transaction of the history, within bounds."""

from collections import deque
from collections.abc import Mapping

from shards.file_position import FilePosition
from shards.history.alarm_rows import WrittenLine
from shards.history.service_rows import Incident, Sample
from shards.ipc.queries import AlarmAbout

MAX_LINES = 1_000
"""Lines of one transaction; in a flood the last ones are kept, and the others counted."""
MAX_PENDING_BYTES = 8 << 20
"""Bytes of lines."""
MAX_PENDING_ROWS = 10_000
"""Samples, and incidents."""


class PendingRows:
    """Lines of alarms and other rows, as they were added."""

    def __init__(self) -> None:
        self._lines: deque[tuple[bytes, float]] = deque()
        self._bytes = 0
        self.about: dict[str, AlarmAbout] = {}
        self.samples: list[Sample] = []
        self.incidents: list[Incident] = []
        self.position: tuple[float, FilePosition] | None = None

    def __bool__(self) -> bool:
        rows = (self._lines, self.about, self.samples, self.incidents, self.position)
        return any(rows)

    def add_lines(self, lines: bytes, about: Mapping[str, AlarmAbout], now: float) -> int:
        """Add lines written now, and what is known of alarms; returns how many are dropped."""
        if lines:
            self._lines.append((lines, now))
            self._bytes += len(lines)
        dropped = 0
        while self._bytes > MAX_PENDING_BYTES:
            oldest, _ = self._lines.popleft()
            self._bytes -= len(oldest)
            dropped += oldest.count(b"\n")
        if len(self.about) < MAX_LINES:
            self.about.update(about)
        return dropped

    def add_samples(self, samples: list[Sample]) -> None:
        """Add samples; the oldest are dropped if there are too many."""
        self.samples += samples
        del self.samples[:-MAX_PENDING_ROWS]

    def add_incident(self, incident: Incident) -> None:
        """Add an incident; the oldest is dropped if there are too many."""
        self.incidents.append(incident)
        del self.incidents[:-MAX_PENDING_ROWS]

    def last_lines(self) -> tuple[list[WrittenLine], int]:
        """The last MAX_LINES lines in their order, and the number of the others."""
        lines: list[WrittenLine] = []
        skipped = 0
        for raw, written in reversed(self._lines):
            found = raw.splitlines()
            kept = found[-room:] if (room := MAX_LINES - len(lines)) else []
            skipped += len(found) - len(kept)
            lines[:0] = [WrittenLine(line, written) for line in kept]
        return lines, skipped
