"""A process that publishes events to NATS in bursts: `python benchmarks/cluster/publisher.py PLAN`.

Everything is prepared before the start: unmatched events come from a pool, matching ones are
templates with an id of their own.
"""

import gc
import random
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from msgspec import Struct

from benchmarks.pipeline.http_service import LiveMaker
from benchmarks.support import workload
from tests.support.nats_server import Publisher, frame

SUBJECT = "dsiem_events"
SLICE = 0.01
"""Seconds between two sends: what is due in that time goes out at its beginning."""
POOL = 5000
"""Unmatched events; and about as many templates of matching ones."""
_MARK = "xxxxxxxx-xxxx-4000-8000-xxxxxxxxxxxx"
"""Where the id goes: the number of the run, of the slice, and of the event."""
Pieces = Sequence[bytes]
"""Of one slice, to be joined."""


class Plan(Struct, frozen=True):
    """What to publish: a share of the events concern directives, the signature that of their pair.

    `in_order`: the pairs come one after the other, not at random.
    """

    port: int
    run: int
    rate: int
    seconds: float
    share: float
    sids: tuple[int, ...]
    pairs: int = 400
    in_order: bool = False

    @property
    def slices(self) -> int:
        """How many sends."""
        return max(1, round(self.seconds / SLICE))

    def due(self, number: int) -> int:
        """How many events are due before this slice."""
        return int(number * self.rate * SLICE)


class Report(Struct, frozen=True):
    """What was published, until `end` on the monotonic clock, when NATS had it all.

    `behind`: seconds behind the schedule, at most; `behind_end` those of the last slice, sent.
    `cpu`: seconds that publishing took.
    """

    published: int
    matching: int
    end: float
    behind: float
    behind_end: float
    cpu: float


def due_time(line_id: str) -> float:
    """When an event was due, in seconds since the start of its run."""
    return int(line_id[9:13], 16) * SLICE


def prepared(plan: Plan) -> tuple[list[Pieces], int]:
    """All slices, and how many events in them match; the last one does."""
    pick = random.Random(plan.run).random
    others = unmatched(plan.run, plan.pairs)
    forms = templates(plan.run, plan.pairs, plan.sids)
    order = count() if plan.in_order else iter(lambda: int(pick() * len(forms)), -1)
    slices: list[Pieces] = []
    matching, last = 0, plan.due(plan.slices) - 1
    for number in range(plan.slices):
        pieces: list[bytes] = []
        for event in range(plan.due(number), plan.due(number + 1)):
            if event == last or pick() < plan.share:
                before, after = forms[next(order) % len(forms)]
                name = b"%08x-%04x-4000-8000-%012x" % (plan.run, number, matching)
                pieces += (before, name, after)
                matching += 1
            else:
                pieces.append(others[int(pick() * POOL)])
        slices.append(pieces)
    return slices, matching


def unmatched(run: int, pairs: int) -> list[bytes]:
    """Frames of events that no directive is for."""
    maker, known = LiveMaker(run), workload.pairs(pairs)
    sids = range(workload.UNKNOWN_SID, workload.UNKNOWN_SID + 500)
    return [frame(SUBJECT, raw) for raw in maker.draw_all(POOL, known, sids)]


def templates(run: int, pairs: int, sids: Sequence[int]) -> list[tuple[bytes, bytes]]:
    """What comes before and after the id of events of each pair, all pairs equally often."""
    maker, known = LiveMaker(run), workload.pairs(pairs)
    return [
        _template(maker, pair, sids[number % len(sids)])
        for _ in range(max(1, POOL // len(known)))
        for number, pair in enumerate(known)
    ]


def _template(maker: LiveMaker, pair: workload.Pair, sid: int) -> tuple[bytes, bytes]:
    raw = maker.event(sid, pair, event_id=_MARK, rcvd_time=time.time_ns())
    before, after = frame(SUBJECT, raw).split(_MARK.encode())
    return before, after


def publish(
    publisher: Publisher, slices: Sequence[Pieces], every: float, start: float
) -> tuple[float, float]:
    """Send a slice every so many seconds, later ones without a pause when late.

    Returns how many seconds behind that was, at most and for the last one.
    """
    most = behind = 0.0
    for number, pieces in enumerate(slices):
        due = start + number * every
        time.sleep(max(0.0, due - time.monotonic()))
        publisher.send(b"".join(pieces))
        behind = time.monotonic() - due
        most = max(most, behind)
    publisher.flush()
    return most, behind


def serve(port: int, slices: Sequence[Pieces], every: float, events: int, matching: int) -> None:
    """Say that all is prepared, read when to begin from stdin, publish, say how it went."""
    with Publisher(port) as publisher:
        print("ready", flush=True)
        start = float(sys.stdin.readline())
        cpu = time.process_time()
        most, last = publish(publisher, slices, every, start)
        end, cpu = time.monotonic(), time.process_time() - cpu
    report = Report(events, matching, end, most, last, cpu)
    print(msgspec.json.encode(report).decode(), flush=True)


def main(plan: Plan) -> None:
    """Do what the plan says."""
    gc.disable()
    slices, matching = prepared(plan)
    serve(plan.port, slices, SLICE, plan.due(plan.slices), matching)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Plan))
