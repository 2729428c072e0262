"""All open backlogs of a correlator in the form of dsiem-backend, for tests that look at them."""

from engine.correlation.correlator import Correlator
from engine.dsiem_format.saved_alarm import SavedAlarm, saved_alarms


def save_backlogs(correlator: Correlator) -> dict[int, list[SavedAlarm]]:
    """The saved alarms by directive, oldest first."""
    by_directive = correlator.open_backlogs().items()
    return {directive: list(saved_alarms(backlogs)) for directive, backlogs in by_directive}
