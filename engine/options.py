"""The options of correlation; shards/ fills them from the settings.

A noun of its own, like event and asset: the caller makes it, every part of correlation reads it.
"""

from msgspec import Struct

RISK_CLASSES = ("High", "Medium", "Low")


class Options(Struct, frozen=True):
    """Times in seconds, risks from 0 to 10.

    `node`: part of alarm ids. `expiry_grace`: minimum lifetime of a stage after it became current,
    on the caller's clock; 0 if events are the clock. `out_of_order_tolerance`: an event that is
    older than the end of an earlier stage by this much or more is out of order. `repeat_window`:
    time for which events taken and alarms written are remembered, 0 for none. `lookups`: publish
    lookup requests; `track_changes`: record which backlogs change; `count_by_directive`: fill
    DirectiveCounts. The last three cost time and memory, and are off by
    default.
    """

    node: str = ""
    min_alarm_lifetime: int = 0
    expiry_grace: int = 0
    out_of_order_tolerance: int = 5
    repeat_window: int = 600
    match_protocol: bool = False
    med_risk_min: int = 3
    med_risk_max: int = 6
    status: str = "Open"
    tag: str = "Identified Threat"
    lookups: bool = False
    track_changes: bool = False
    count_by_directive: bool = False

    def risk_class(self, risk: int) -> str:
        """Low below med_risk_min, Medium up to and including med_risk_max, High above."""
        if risk < self.med_risk_min:
            return "Low"
        return "Medium" if risk <= self.med_risk_max else "High"
