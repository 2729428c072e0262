"""What a directive has done, as counts. Short, and a noun of its own: the engine fills it, and
processes that do not correlate add it up without importing correlation.
"""

from collections import Counter

from msgspec import Struct, field


class DirectiveCounts(Struct):
    """The counts of one directive.

    `events`: those that it consumed; `opened`: backlogs that they opened; `furthest_stage`: the
    highest one at which an event was taken, 0 before the first one; `alarms`: closed backlogs that
    have an alarm, by the risk class of its last line.
    """

    events: int = 0
    opened: int = 0
    furthest_stage: int = 0
    alarms: Counter[str] = field(default_factory=Counter)

    def add(self, more: "DirectiveCounts") -> None:
        """Add what was counted elsewhere, or at another time."""
        self.events += more.events
        self.opened += more.opened
        self.furthest_stage = max(self.furthest_stage, more.furthest_stage)
        self.alarms.update(more.alarms)
