"""What the directives of a config make of recorded events, counted by directive."""

from collections import Counter

from msgspec import Struct, field

from engine.directives.directive import Directive
from shards.config.config_folder import Config
from shards.ledger import Ledger
from shards.replay.tracked_replay import MAX_CLOSED, AlarmState, SettledAlarms, TrackedReplay
from shards.sources.recorded_event import RecordedEvent
from shards.unmatched_events import UnmatchedEvents


class DirectiveStats(Struct):
    """The counts of one directive.

    `concerned`: events with the plugin or the taxonomy of one of its rules, `events`: those that it
    consumed; `opened`: backlogs; `furthest_stage` at which an event was taken, of `stages`;
    `alarms` by the risk class of their last line.
    """

    id: int
    name: str
    stages: int
    concerned: int = 0
    events: int = 0
    opened: int = 0
    furthest_stage: int = 0
    alarms: Counter[str] = field(default_factory=Counter)


class StatsCollector:
    """Counts as events are replayed; `finish` completes the counts."""

    def __init__(
        self,
        config: Config,
        tracked: TrackedReplay,
        unmatched: UnmatchedEvents,
        max_closed: int = MAX_CLOSED,
    ) -> None:
        """`tracked`: of a replay that counts by directive.

        `max_closed`: number of alarms from which on closed ones are counted and forgotten.
        """
        self._tracked = tracked
        self.unmatched = unmatched
        self._concerned: Counter[int] = Counter()
        self._max_closed = self._settle_at = max_closed
        self._settled = SettledAlarms()
        self.directives = {directive.id: _empty(directive) for directive in config.directives}

    @property
    def ledger(self) -> Ledger:
        """The ledger of the replay."""
        return self._tracked.replay.ledger

    def process_event(self, recorded: RecordedEvent) -> None:
        """Replay and count an event; InvalidEventError, counted in the ledger, if it is invalid."""
        if (key := recorded.key) is not None:
            concerned = self._tracked.replay.concerned_by(key)
            if concerned:
                self._concerned.update(concerned)
            else:
                self.unmatched.add(key, recorded.raw)
        self._tracked.process_event(recorded)
        if len(self._tracked.alarms) > self._settle_at:
            self._settle()

    def finish(self) -> None:
        """Finish the replay, and count what is left."""
        tracked, replay = self._tracked, self._tracked.replay
        tracked.finish()
        self._settle(at_end=True)
        self.unmatched.finish()
        counts = replay.take_counts()
        for id_, directive in self.directives.items():
            directive.concerned = self._concerned[id_]
            if (counted := counts.get(id_)) is not None:
                directive.events, directive.opened = counted.events, counted.opened
        self.ledger.backlogs["open"] = replay.open_backlogs

    def _settle(self, *, at_end: bool = False) -> None:
        """Count the alarms that cannot change any more, and forget them."""
        alarms = self._tracked.alarms
        for alarm_id in list(alarms):
            if at_end or not self._tracked.is_open(alarm_id):
                self._count(alarms.pop(alarm_id))
        self._settle_at = max(self._max_closed, 2 * len(alarms))

    def _count(self, alarm: AlarmState) -> None:
        directive = self.directives[alarm.directive]
        directive.furthest_stage = max(directive.furthest_stage, alarm.stage)
        if alarm.published and self._settled.add(alarm.alarm_id):
            directive.alarms[alarm.risk_class] += 1


def _empty(directive: Directive) -> DirectiveStats:
    return DirectiveStats(directive.id, directive.name, len(directive.rules))
