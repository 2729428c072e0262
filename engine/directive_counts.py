"""What a directive has done, as counts. Short, and a noun of its own: the engine fills it, and
processes that do not correlate add it up without importing correlation.
"""

from msgspec import Struct


class DirectiveCounts(Struct):
    """The counts of one directive.

    `events`: those that it consumed; `opened`: backlogs that they opened; `furthest_stage`: the
    highest one at which an event was taken, 0 before the first one; `alarms`: closed backlogs that
    have an alarm, by the risk class of its last line.
    """

    events: int = 0
    opened: int = 0
    furthest_stage: int = 0
    alarms: dict[str, int] = {}

    def add(self, more: "DirectiveCounts") -> None:
        """Add what was counted elsewhere, or at another time."""
        self.events += more.events
        self.opened += more.opened
        self.furthest_stage = max(self.furthest_stage, more.furthest_stage)
        for risk_class, number in more.alarms.items():
            self.add_alarms(risk_class, number)

    def add_alarms(self, risk_class: str, number: int = 1) -> None:
        """Count alarms of this risk class."""
        self.alarms[risk_class] = self.alarms.get(risk_class, 0) + number
