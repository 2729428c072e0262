"""A replay whose alarms are followed as they grow, those of risk 0 too, which are never written."""

from msgspec import Struct
from xxhash import xxh64_hexdigest

from engine.alarm import AlarmEvent, PublishedAlarm
from shards.replay.event_replay import Replay
from shards.sources.recorded_event import RecordedEvent

MAX_CLOSED = 100_000
"""Number of alarms from which on closed ones are to be settled, so that memory is bounded."""
MAX_SETTLED = 500_000
"""Number of settled alarms that are known by their id; with more, all are forgotten."""
_MAX_ID_LENGTH = 200


class AlarmState(Struct):
    """A backlog and its alarm as they are now; times in seconds since the epoch.

    `stage`: the highest one at which an event was taken. The fields from `title` on are those of
    the last line of the alarm; `published` says whether there was one.
    """

    alarm_id: str
    directive: int
    first_event: str
    first_time: int
    last_event: str
    last_time: int
    events: int = 0
    stage: int = 0
    published: bool = False
    title: str = ""
    risk: int = 0
    risk_class: str = ""
    statuses: tuple[str, ...] = ()


class TrackedReplay:
    """A replay and the alarms that its backlogs have opened, by their id."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.alarms: dict[str, AlarmState] = {}
        """Whoever has settled a closed one removes it."""

    def process_event(self, recorded: RecordedEvent) -> None:
        """As `Replay.process_event`."""
        self.replay.process_event(recorded)
        if self.replay.has_lines:
            outputs = self.replay.take_outputs()
            for taken in outputs.alarm_events:
                self._add_event(taken, recorded)
            for published in outputs.published:
                self._add_line(published)

    def finish(self) -> None:
        """As `Replay.finish`; takes all outputs."""
        self.replay.finish()
        for published in self.replay.take_outputs().published:
            self._add_line(published)

    def is_open(self, alarm_id: str) -> bool:
        """Whether the alarm is known and may still change."""
        state = self.alarms.get(alarm_id)
        return state is not None and self.replay.is_open((state.directive, alarm_id))

    def _add_event(self, taken: AlarmEvent, recorded: RecordedEvent) -> None:
        state = self.alarms.get(taken.alarm_id)
        event, time = short_id(taken.event_id), recorded.time or 0
        if state is None:
            directive = self.replay.directive_of(taken.alarm_id, recorded)
            if directive is None:  # settled since another backlog of its opening event was closed
                return
            state = AlarmState(taken.alarm_id, directive, event, time, event, time)
            self.alarms[taken.alarm_id] = state
        state.last_event, state.last_time = event, time
        state.events += 1
        state.stage = max(state.stage, taken.stage)

    def _add_line(self, published: PublishedAlarm) -> None:
        alarm = published.alarm
        state = self.alarms.get(alarm.alarm_id)
        if state is not None:
            state.published = True
            state.title = alarm.title
            state.risk = alarm.risk
            state.risk_class = alarm.risk_class
            state.statuses = tuple(rule.status for rule in alarm.rules)


class SettledAlarms:
    """Alarms that have been counted: their opening event may open another backlog much later."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def add(self, alarm_id: str) -> bool:
        """Add an alarm; whether it is new, and so is to be counted."""
        if alarm_id in self._ids:
            return False
        if len(self._ids) >= MAX_SETTLED:
            self._ids.clear()
        self._ids.add(alarm_id)
        return True


def short_id(event_id: str) -> str:
    """An event id of at most 200 characters; one that was longer ends with its hash."""
    if len(event_id) <= _MAX_ID_LENGTH:
        return event_id
    return f"{event_id[: _MAX_ID_LENGTH - 17]}…{xxh64_hexdigest(event_id.encode())}"
