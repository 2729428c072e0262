"""What became of each alarm in the end: the last of its lines counts."""

from collections import Counter
from collections.abc import Iterable

from engine.alarm import AlarmRecord, Publish

RISK_CLASSES = ("High", "Medium", "Low")


class AlarmBook:
    """The alarms that were published, each once; whole records only if asked to keep them."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._class_of: dict[str, str] = {}
        self._records: dict[str, AlarmRecord] = {}

    def note(self, publishes: Iterable[Publish]) -> None:
        """Take note of what was published."""
        for publish in publishes:
            alarm = publish.alarm
            self._class_of[alarm.alarm_id] = alarm.risk_class
            if self._keep:
                self._records[alarm.alarm_id] = alarm

    @property
    def by_class(self) -> dict[str, int]:
        """How many alarms there are of each risk class."""
        counts = Counter(self._class_of.values())
        return {name: counts[name] for name in RISK_CLASSES}

    @property
    def records(self) -> list[AlarmRecord]:
        """The alarms that were kept, those of the highest risk first, then as they came."""
        return sorted(self._records.values(), key=lambda alarm: -alarm.risk)
