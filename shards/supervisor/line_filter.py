"""Lets no line of a worker through twice when the worker is started again.

The new worker drops by itself the lines that deliveries cause whose lines are written, and those of
time before them. What is left are lines that time caused after the last delivery, and the first
part of a report whose rest did not arrive.
"""

from collections import Counter

from xxhash import xxh64_intdigest

from shards.ipc.messages import AlarmLines, WorkerReport
from shards.worker.start import NOTHING_WRITTEN, Written

MAX_LINES = 1_000_000
"""Number of lines that are known; those that are too many may be written twice after a death."""


class LineFilter:
    """The lines of one worker, over all its deaths."""

    def __init__(self) -> None:
        self.written = NOTHING_WRITTEN
        """Until when all lines are written."""
        self._since: dict[int, int] = {}
        """Hashes of alarm lines written since then, with the number of the last sync."""
        self._last: list[bytes] = []
        """Lines of the last report, as long as nothing says that their hashes are needed."""
        self._partial: list[bytes] = []
        """Lines of a report whose end has not arrived."""
        self._repeated: Counter[int] = Counter()
        """Hashes of lines that the worker may report again."""
        self._sync = self._saved_sync = 0
        self._died_at = -1
        """Position up to which all lines were written when the last worker died."""
        self._syncs_there = 0
        """Number of syncs of the present worker there, or further."""
        self._settled_sync = 0
        """The number of the first sync at which it was settled."""

    @property
    def is_settled(self) -> bool:
        """Whether the worker has come as far as the one before: no line of that one comes again.

        It has also done what time causes there once a delivery follows, or at a second sync: syncs
        belong to checkpoints, and time goes on between two of them.
        """
        return self.written.position > self._died_at or self._syncs_there > 1

    def note(self, report: AlarmLines) -> None:
        """Note lines that have been written."""
        if not isinstance(report, WorkerReport):
            self._partial += (report.alarm_events, report.alarms)
            return
        clock = report.clock if report.is_time_done else 0
        reported = Written(report.position, report.last_event, clock)
        if reported > self.written:
            self.written = reported
            self._since.clear()
        elif self._last:
            self._since |= dict.fromkeys(_hashes(self._last), self._sync)
            if len(self._since) > MAX_LINES:
                self._since.clear()
        self._last = [lines for lines in (*self._partial, report.alarms) if lines]
        self._partial = []
        self._sync = max(self._sync, report.sync)
        if report.sync:
            self._syncs_there += report.position >= self._died_at
            if self.is_settled and not self._settled_sync:
                self._settled_sync = report.sync

    def note_saved(self, sync: int) -> None:
        """A checkpoint holds the effect of all reports up to the one with this number."""
        if sync > self._saved_sync:  # every report has the number
            self._saved_sync = sync
            if 0 < self._settled_sync <= sync:
                self._repeated.clear()
            self._since = {key: at for key, at in self._since.items() if at >= sync}

    def worker_died(self) -> None:
        """The worker will be started again."""
        self._repeated.update(_hashes([*self._last, *self._partial]))
        self._repeated.update(self._since.keys())
        self._last, self._partial = [], []
        if len(self._repeated) > MAX_LINES:
            self._repeated.clear()
        self._since.clear()
        self._sync = self._saved_sync = 0
        self._died_at, self._syncs_there, self._settled_sync = self.written.position, 0, 0

    def new_lines(self, lines: bytes) -> bytes:
        """The lines without those that are written already."""
        if not self._repeated or not lines:
            return lines
        kept = []
        for line in lines.splitlines(keepends=True):
            key = xxh64_intdigest(line)
            if self._repeated[key] > 0:
                self._repeated[key] -= 1
            else:
                kept.append(line)
        return b"".join(kept)


def _hashes(parts: list[bytes]) -> list[int]:
    return [xxh64_intdigest(line) for part in parts for line in part.splitlines(keepends=True)]
