"""The outputs of correlation for an event, or for the passing of time.

A file of its own: the correlator fills them, and writers read them without importing it.
"""

from collections import defaultdict

from msgspec import Struct, field

from engine.alarm import AlarmEvent, PublishedAlarm

_CONSUMED = (
    *("opened", "taken", "repeated", "suppressed", "sticky_seen", "out_of_order"),
    "too_late",
)


class Outputs(Struct):
    """Lines to write, in order, and outcomes, counted once per backlog.

    Keys of `counts`: taken, repeated, suppressed, sticky_seen, out_of_order, too_late, opened
    (consumed events); finished, expired, averted, removed (closed backlogs); id_reused (events
    whose id another event had); outdated (alarms not written since a line with more finished stages
    had been).
    """

    alarm_events: list[AlarmEvent] = field(default_factory=list)
    published: list[PublishedAlarm] = field(default_factory=list)
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def count(self, what: str) -> None:
        """Count one more outcome of this name."""
        self.counts[what] += 1

    @property
    def consumed(self) -> bool:
        """Whether a directive consumed the event, if there was one."""
        return any(name in self.counts for name in _CONSUMED)
