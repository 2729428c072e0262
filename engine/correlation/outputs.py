"""What correlation says when it is told of an event or of the time: data, in order."""

from msgspec import Struct, field

from engine.alarm import AlarmEvent, PublishedAlarm


class Outputs(Struct):
    """Lines to write, and what happened, counted once per backlog.

    Keys of `counts`: taken, repeated, sticky_seen, out_of_order, opened (consumed events), and
    finished, expired (closed backlogs).
    """

    alarm_events: list[AlarmEvent] = field(default_factory=list)
    publishes: list[PublishedAlarm] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        """One more of these."""
        self.counts[what] = self.counts.get(what, 0) + 1

    @property
    def consumed(self) -> bool:
        """Whether any directive consumed the event, if there was one."""
        return len(self.counts) > ("expired" in self.counts)
