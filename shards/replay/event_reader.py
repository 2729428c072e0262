"""Reading recordings for a command: each event to a function, faults and order to the user.

`replay`, `diff` and `stats` read alike, so the same input gives the same warnings.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from engine.errors import InvalidEventError
from engine.event import NormalizedEvent
from shards.errors import PathError
from shards.exit_codes import INTERRUPTED, INVALID
from shards.logs import EventLog
from shards.replay.event_replay import Replay
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent
from shards.sources.recordings import events_in_order, open_recordings

_PROGRESS_INTERVAL = 1000
"""Number of events between two calls of the function that shows progress."""


class EventReader:
    """Recordings that are read once, to their end or until reading fails.

    Afterwards, `stopped` is why it ended early, or "", and `exit_code` is that of the command.
    """

    def __init__(self, names: Sequence[str], settings: Settings) -> None:
        """Check that all recordings can be read; PathError if not.

        `names`: files, "-" for standard input; none if settings say where the events are.
        """
        self._recordings = open_recordings(names, settings)
        self._settings = settings
        self._event_log = EventLog()
        self.stopped = ""
        self.exit_code = 0

    @property
    def size(self) -> int:
        """Bytes of all files as stored; streams count 0. Or the number of documents."""
        return sum(recording.size for recording in self._recordings)

    @property
    def position(self) -> int:
        """How much of `size` has been read."""
        return sum(recording.position for recording in self._recordings)

    def read(self, process: Callable[[RecordedEvent], None], show: Callable[[int], None]) -> None:
        """Pass each event to `process`, in the order of time; `show` gets the position.

        An InvalidEventError of `process` is logged with the place of the event, other errors of it
        end the reading.
        """
        events = events_in_order(
            self._recordings, self._settings.max_future, sort=self._settings.sort
        )
        try:
            for number, event in enumerate(events):
                if number % _PROGRESS_INTERVAL == 0:
                    show(self.position)
                try:
                    process(event)
                except InvalidEventError as error:
                    self._event_log.log_invalid(error, event.raw, time.monotonic(), event.place)
        except PathError as error:
            self.stopped, self.exit_code = str(error), INVALID
        except KeyboardInterrupt:
            self.stopped, self.exit_code = "interrupted", INTERRUPTED

    def log_reused(self, event: NormalizedEvent | None) -> None:
        """Log that another event had the id of this one; nothing for None."""
        if event is not None:
            self._event_log.log_reused(event, time.monotonic())

    def close(self) -> None:
        """Log how many lines about events were suppressed."""
        self._event_log.close()

    def warnings(self, replay: Replay) -> Iterator[str]:
        """What about the order and the times of the events makes the results doubtful.

        `replay` has processed them.
        """
        clock = replay.clock
        if self._settings.elasticsearch and not self.size:
            yield f"no document of {self._settings.index} is within --from, --to and --query"
        if newest_first := self._newest_first():
            yield (
                f"newest events first: {', '.join(newest_first)}. No event can continue what "
                "a later one opens. --sort brings the events into their order."
            )
        elif clock.late_events:
            behind = timedelta(seconds=clock.max_seconds_behind)
            late = "1 event" if clock.late_events == 1 else f"{clock.late_events:,} events"
            yield (
                f"{late} came late, up to {behind} behind the clock, the first one at "
                f"{clock.first_late}: what they open or continue may have timed out by then. "
                "Is the input sorted by timestamp? --sort sorts it."
            )
        if count := replay.ledger.from_future:
            yield (
                f"events more than {self._settings.max_future} s ahead of those around them "
                f"(--max-future): {count:,}. They got the time of the clock. "
                "Unsorted input needs --sort."
            )

    def _newest_first(self) -> list[str]:
        """Names of the recordings whose order is wrong and was not corrected."""
        if self._settings.sort:
            return []
        return [one.name for one in self._recordings if one.is_newest_first]
