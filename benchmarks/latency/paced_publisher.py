"""A process that publishes evenly spaced events: `paced_publisher.py PLAN`.

Each event carries the time at which it was due. For bursts there is publisher.py, with the same
protocol.
"""

import gc
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from msgspec import Struct

from benchmarks.cluster.publisher import POOL, Pieces, serve, templates, unmatched

TICK = 0.001
"""Seconds between two sends: each sends what has come due since the one before, nothing earlier."""


class Pace(Struct, frozen=True):
    """What to publish: event `n` is due `n / rate` seconds after the start.

    A share of the events concern directives, by one of the signatures `sids`, the pair's own.
    """

    port: int
    run: int
    rate: int
    seconds: float
    share: float
    sids: tuple[int, ...]
    pairs: int = 400

    @property
    def events(self) -> int:
        """How many."""
        return round(self.rate * self.seconds)

    @property
    def ticks(self) -> int:
        """How many sends; the last event is in the last one."""
        return -(-(self.events - 1) * 1000 // self.rate) + 1

    def due(self, tick: int) -> range:
        """The events that come due after the tick before, until this one."""
        first, end = (max(0, number * self.rate // 1000 + 1) for number in (tick - 1, tick))
        return range(first, min(end, self.events))

    def due_time(self, line_id: str) -> float:
        """When the event with this id was due, in seconds since the start."""
        return int(line_id[24:], 16) / self.rate


def prepared(pace: Pace) -> tuple[list[Pieces], int]:
    """The events of each tick, and how many of all match; the last one does."""
    pick = random.Random(pace.run).random
    others = unmatched(pace.run, pace.pairs)
    forms = templates(pace.run, pace.pairs, pace.sids)
    ticks: list[Pieces] = []
    matching, last = 0, pace.events - 1
    for tick in range(pace.ticks):
        pieces: list[bytes] = []
        for event in pace.due(tick):
            if event == last or pick() < pace.share:
                before, after = forms[int(pick() * len(forms))]
                pieces += (before, b"%08x-0000-4000-8000-%012x" % (pace.run, event), after)
                matching += 1
            else:
                pieces.append(others[int(pick() * POOL)])
        ticks.append(pieces)
    return ticks, matching


def main(pace: Pace) -> None:
    """Do what the plan says."""
    gc.disable()
    ticks, matching = prepared(pace)
    serve(pace.port, ticks, TICK, pace.events, matching)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Pace))
