"""The outputs of correlation for an event, or for the passing of time.

A file of its own: the correlator fills them, and writers read them without importing it.
"""

from msgspec import Struct, field

from engine.alarm import AlarmEvent, PublishedAlarm


class Outputs(Struct):
    """Lines to write, in order, and outcomes, counted once per backlog.

    Keys of `counts`: taken, repeated, sticky_seen, out_of_order, opened (consumed events), and
    finished, expired (closed backlogs).
    """

    alarm_events: list[AlarmEvent] = field(default_factory=list)
    published: list[PublishedAlarm] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        """Count one more outcome of this name."""
        self.counts[what] = self.counts.get(what, 0) + 1

    @property
    def consumed(self) -> bool:
        """Whether a directive consumed the event, if there was one."""
        return len(self.counts) > ("expired" in self.counts)
