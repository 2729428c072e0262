"""Lets no line through that the run before this one has written already.

That run, with all its processes, may have died. Then the shards begin at their checkpoints: what
they are given again causes lines that are there, and a backlog that nothing is given again to is
behind its alarm.
"""

import time
from collections.abc import Iterable

import msgspec
from msgspec import Struct
from xxhash import xxh64_intdigest

from shards.file_position import FilePositions

MAX_LINES = 500_000
"""Lines of each file that are known, the last ones, some 100 bytes each; others may be written
twice."""
KEPT_LINES = 500_000
KEPT_SECONDS = 3600.0
"""Lines written, and time, after which nothing comes again: see WrittenLines."""

_ID_START = b'{"alarm_id":"'


class _Rule(Struct):
    status: str = ""


class _Alarm(Struct):
    rules: list[_Rule]


_decode_alarm = msgspec.json.Decoder(_Alarm).decode


class WrittenLines:
    """The lines that were in the alarm files at the start, since the oldest checkpoint.

    A line that comes again is forgotten, and with it how far its alarm was. Others may stay: lines
    of other services, and those whose cause is not given again. An identical line would have to be
    of the same alarm with the same content, or of the same event; so they do no harm.

    They are forgotten once KEPT_LINES lines have been written, or after KEPT_SECONDS, or before
    that by `forget`. Until then `positions` is where they begin, for the checkpoints: if this run
    dies too, its successor has to read them as well. How far alarms were stays known as long as the
    service runs, since a backlog that is behind may time out any time later.
    """

    def __init__(self, positions: FilePositions | None = None) -> None:
        """`positions`: where the lines begin that will be added."""
        self._positions = positions
        self._alarms, self._alarm_events = _KnownLines(), _KnownLines()
        self._finished: dict[int, int] = {}
        """Largest number of finished stages in a line of an alarm, by the hash of its id."""
        self._left = KEPT_LINES
        self._until = time.monotonic() + KEPT_SECONDS

    def add_alarms(self, lines: Iterable[bytes]) -> None:
        """Add lines of the alarms file, without their newline."""
        for line in lines:
            self._alarms.add(line)
            alarm, finished = _alarm_of(line), _finished_stages(line)
            if alarm and finished:
                self._finished[alarm] = max(finished, self._finished.pop(alarm, 0))  # at the end
                if len(self._finished) > MAX_LINES:
                    del self._finished[next(iter(self._finished))]

    def add_alarm_events(self, lines: Iterable[bytes]) -> None:
        """Add lines of the alarm events file, without their newline."""
        for line in lines:
            self._alarm_events.add(line)

    @property
    def has_all(self) -> bool:
        """Whether all lines that were added are known."""
        return not (self._alarms.dropped or self._alarm_events.dropped)

    def forget(self) -> None:
        """Nothing of the run before comes again: its deliveries have all been given again."""
        self._left = 0

    @property
    def positions(self) -> FilePositions | None:
        """Where a successor would have to begin to read; None: where the files end by then."""
        self._forget_if_due()
        return self._positions

    def _forget_if_due(self) -> None:
        is_empty = not (self._alarms.numbers or self._alarm_events.numbers or self._finished)
        if self._positions and (is_empty or not self._left or time.monotonic() > self._until):
            self._positions = None
            self._alarms.numbers.clear()
            self._alarm_events.numbers.clear()

    def new_alarm_events(self, lines: bytes) -> bytes:
        """The lines without those that are written already."""
        if not self._alarm_events.numbers:
            return lines
        return b"".join(line for line in self._count(lines) if self._alarm_events.is_new(line))

    def new_alarms(self, lines: bytes) -> tuple[bytes, int]:
        """The lines without those that are written already, or are outdated; the number of these.

        Outdated: an earlier line of the alarm has more finished stages.
        """
        if not self._alarms.numbers and not self._finished:
            return lines, 0
        kept: list[bytes] = []
        outdated = 0
        for line in self._count(lines):
            is_outdated = self._is_outdated(line)
            if self._alarms.is_new(line):
                outdated += is_outdated
                if not is_outdated:
                    kept.append(line)
        return b"".join(kept), outdated

    def _count(self, lines: bytes) -> list[bytes]:
        found = lines.splitlines(keepends=True)
        self._left = max(0, self._left - len(found))
        return found

    def _is_outdated(self, line: bytes) -> bool:
        """Whether a line of the alarm with more finished stages is there."""
        alarm = _alarm_of(line)
        best = self._finished.get(alarm)
        if best is None:
            return False
        if _finished_stages(line) < best:
            return True
        del self._finished[alarm]  # its backlog has come as far
        return False


class _KnownLines:
    """The last lines of a file; `numbers`: how often each is there, by its hash."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.dropped = 0
        """The number of lines that were too many."""

    def add(self, line: bytes) -> None:
        """Add a line, without its newline."""
        key = xxh64_intdigest(line)
        self.numbers[key] = self.numbers.pop(key, 0) + 1  # at the end
        if len(self.numbers) > MAX_LINES:
            self.dropped += self.numbers.pop(next(iter(self.numbers)))

    def is_new(self, line: bytes) -> bool:
        """Whether a line is not there, or was there and has come again as often as it was."""
        key = xxh64_intdigest(line[:-1])
        number = self.numbers.pop(key, 0)
        if number > 1:
            self.numbers[key] = number - 1
        return not number


def _alarm_of(line: bytes) -> int:
    """The hash of the id in an alarm line of this program; 0 if it is none."""
    if not line.startswith(_ID_START):
        return 0
    return xxh64_intdigest(line[len(_ID_START) : line.find(b'"', len(_ID_START))])


def _finished_stages(line: bytes) -> int:
    """Number of finished stages in an alarm line; 0 if it is none."""
    try:
        rules = _decode_alarm(line).rules
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    return sum(rule.status == "finished" for rule in rules)
