"""What correlation lets its user choose; shards/ fills it from the settings."""

from msgspec import Struct


class Options(Struct, frozen=True):
    """Times in seconds; risks from 0 to 10.

    `node` goes into alarm ids. `expiry_grace`: how long a stage lives at least after it became
    current, on the clock that callers pass as `now`; 0 when events are the clock. `lookups`:
    say what is to be looked up; `track_changes`: remember which backlogs change; `count_matches`:
    how many events each directive consumes. Each costs time and memory, so not where nobody asks.
    """

    node: str = ""
    min_alarm_lifetime: int = 0
    expiry_grace: int = 0
    match_protocol: bool = False
    med_risk_min: int = 3
    med_risk_max: int = 6
    status: str = "Open"
    tag: str = "Identified Threat"
    lookups: bool = False
    track_changes: bool = False
    count_matches: bool = False

    def risk_class(self, risk: int) -> str:
        """Low below med_risk_min, Medium up to and with med_risk_max, High above."""
        if risk < self.med_risk_min:
            return "Low"
        return "Medium" if risk <= self.med_risk_max else "High"
