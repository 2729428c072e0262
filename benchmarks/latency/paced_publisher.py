"""A process that publishes evenly spaced events: `paced_publisher.py PLAN`.

PLAN is a `PacedPlan` in JSON. The protocol is that of cluster/publisher.py, which sends in bursts.
The id of a matching event contains its number, from which the time follows at which it was due.
"""

import gc
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from benchmarks.cluster.publisher import (
    POOL_SIZE,
    Pieces,
    Plan,
    matching_templates,
    run_publisher,
    template_order,
    unmatched_frames,
)

TICK_SECONDS = 0.001
"""Seconds between two sends: each sends the events that came due since the last, none earlier."""


class PacedPlan(Plan, frozen=True):
    """Evenly spaced events: event `n` is due `n / rate` seconds after the start."""

    @property
    def events(self) -> int:
        """Number of events."""
        return round(self.rate * self.seconds)

    @property
    def ticks(self) -> int:
        """Number of ticks; the last event is due in the last tick."""
        return -(-(self.events - 1) * 1000 // self.rate) + 1

    def events_due(self, tick: int) -> range:
        """Numbers of the events that come due after the tick before and until this one."""
        first, end = (max(0, number * self.rate // 1000 + 1) for number in (tick - 1, tick))
        return range(first, min(end, self.events))

    def due_time(self, event_id: str) -> float:
        """The time at which the event with this id was due, in seconds since the start."""
        return int(event_id[24:], 16) / self.rate


def prepare_ticks(plan: PacedPlan) -> tuple[list[Pieces], int]:
    """The events of each tick, and the number of matching ones; the last event matches."""
    pick = random.Random(plan.run).random
    unmatched = unmatched_frames(plan.run, plan.pairs)
    templates = matching_templates(plan.run, plan.pairs, plan.sids)
    order = template_order(plan, len(templates), pick)
    ticks: list[Pieces] = []
    matching, last = 0, plan.events - 1
    for tick in range(plan.ticks):
        pieces: list[bytes] = []
        for event in plan.events_due(tick):
            if event == last or pick() < plan.share:
                before, after = templates[next(order)]
                pieces += (before, b"%08x-0000-4000-8000-%012x" % (plan.run, event), after)
                matching += 1
            else:
                pieces.append(unmatched[int(pick() * POOL_SIZE)])
        ticks.append(pieces)
    return ticks, matching


def main(plan: PacedPlan) -> None:
    """Publish as planned."""
    gc.disable()
    ticks, matching = prepare_ticks(plan)
    run_publisher(plan.port, ticks, TICK_SECONDS, plan.events, matching)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=PacedPlan))
