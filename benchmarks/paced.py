"""A process that publishes each event at a time of its own: `python benchmarks/paced.py PLAN`.

May live here: evenly spaced events, and what one of them says of when it was due. May not: bursts,
which publisher.py is for, and what becomes of the events. It is talked to as publisher.py is.
"""

import gc
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec import Struct

from benchmarks import workload
from benchmarks.publisher import SUBJECT, Report
from benchmarks.served import LiveMaker
from tests.nats_server import Publisher, frame

TICK = 0.001
"""Seconds between two sends: each sends what has come due since the one before, nothing earlier."""
_POOL = 5000
"""Unmatched events; and about as many templates of matching ones."""
_MARK = "xxxxxxxx-xxxx-4000-8000-xxxxxxxxxxxx"
"""Where the id goes: the number of the run, and of the event in it."""
Pieces = Sequence[bytes]
"""Of the events of one tick, to be joined."""


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

    def due_at(self, line_id: str) -> float:
        """When the event with this id was due, in seconds since the start."""
        return int(line_id[24:], 16) / self.rate


def prepared(pace: Pace) -> tuple[list[Pieces], int]:
    """The events of each tick, and how many of all match; the last one does."""
    pick = random.Random(pace.run).random
    others, templates = _others(pace), _templates(pace)
    ticks: list[Pieces] = []
    matching, last = 0, pace.events - 1
    for tick in range(pace.ticks):
        pieces: list[bytes] = []
        for event in pace.due(tick):
            if event == last or pick() < pace.share:
                before, after = templates[int(pick() * len(templates))]
                pieces += (before, b"%08x-0000-4000-8000-%012x" % (pace.run, event), after)
                matching += 1
            else:
                pieces.append(others[int(pick() * _POOL)])
        ticks.append(pieces)
    return ticks, matching


def _others(pace: Pace) -> list[bytes]:
    """Frames of events that no directive is for."""
    maker, known = LiveMaker(pace.run), workload.pairs(pace.pairs)
    sids = range(workload.UNKNOWN_SID, workload.UNKNOWN_SID + 500)
    return [frame(SUBJECT, raw) for raw in maker.drawn(_POOL, known, sids)]


def _templates(pace: Pace) -> list[tuple[bytes, bytes]]:
    """What comes before and after the id of events of each pair, all pairs equally often."""
    maker, known = LiveMaker(pace.run), workload.pairs(pace.pairs)
    return [
        _template(maker, pair, pace.sids[number % len(pace.sids)])
        for _ in range(max(1, _POOL // len(known)))
        for number, pair in enumerate(known)
    ]


def _template(maker: LiveMaker, pair: workload.Pair, sid: int) -> tuple[bytes, bytes]:
    raw = maker.event(sid, pair, event_id=_MARK, rcvd_time=time.time_ns())
    before, after = frame(SUBJECT, raw).split(_MARK.encode())
    return before, after


def publish(publisher: Publisher, ticks: Sequence[Pieces], start: float) -> tuple[float, float]:
    """Send each tick when it is due, later ones without a pause when late.

    Returns how many seconds behind that was, at most and for the last tick.
    """
    most = behind = 0.0
    for tick, pieces in enumerate(ticks):
        due = start + tick * TICK
        time.sleep(max(0.0, due - time.monotonic()))
        publisher.send(b"".join(pieces))
        behind = time.monotonic() - due
        most = max(most, behind)
    publisher.flush()
    return most, behind


def main(pace: Pace) -> None:
    """Prepare, say so, read when to begin from stdin, publish, say how it went."""
    gc.disable()
    ticks, matching = prepared(pace)
    with Publisher(pace.port) as publisher:
        print("ready", flush=True)
        start = float(sys.stdin.readline())
        cpu = time.process_time()
        most, last = publish(publisher, ticks, start)
        end, cpu = time.monotonic(), time.process_time() - cpu
    report = Report(pace.events, matching, end, most, last, cpu)
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Pace))
