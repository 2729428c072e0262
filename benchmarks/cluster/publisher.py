"""A process that publishes events to NATS in bursts: `python benchmarks/cluster/publisher.py PLAN`.

PLAN is a `BurstPlan` in JSON. The process writes `ready` when its events are prepared, reads the
time to start (on the monotonic clock) from stdin, and writes a `PublishReport` at the end.
Unmatched events come from a pool; matching ones are made from templates, with an id of their own.
"""

import gc
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from msgspec import Struct

from benchmarks.support import synthetic
from tests.support.nats_server import Publisher, frame

SUBJECT = "dsiem_events"
SLICE_SECONDS = 0.01
"""Seconds between two bursts: the events due in a slice are sent at its beginning."""
POOL_SIZE = 5000
"""Number of different unmatched events, and about the number of templates of matching ones."""
_ID_PLACEHOLDER = "xxxxxxxx-xxxx-4000-8000-xxxxxxxxxxxx"
"""Replaced with an id of the numbers of the run, of the slice and of the event."""
_NOISY_SHARE = 0.9
"""The share of the matching events that comes from the noisy pairs, if there are any."""
Pieces = Sequence[bytes]
"""Parts of NATS frames, which are joined when they are sent."""


class Plan(Struct, frozen=True):
    """The events to publish at a port of NATS: `rate` per second for `seconds`.

    `run`: part of the event ids. `share` of the events match, with one of the signatures `sids`,
    the same for each pair of addresses. `in_order`: the pairs follow each other, else they are
    random. `noisy`: number of pairs that have most of the matching events; 0: all pairs are equal.
    """

    port: int
    run: int
    rate: int
    seconds: float
    share: float
    sids: tuple[int, ...]
    pairs: int = 400
    in_order: bool = False
    noisy: int = 0

    @property
    def id_prefix(self) -> str:
        """The beginning of the ids of its matching events."""
        return f"{self.run:08x}-"


class BurstPlan(Plan, frozen=True):
    """Events in slices of `SLICE_SECONDS`."""

    @property
    def slices(self) -> int:
        """Number of slices."""
        return max(1, round(self.seconds / SLICE_SECONDS))

    def events_before(self, number: int) -> int:
        """Number of events that are due before this slice."""
        return int(number * self.rate * SLICE_SECONDS)


class PublishReport(Struct, frozen=True):
    """Counts of published events, and delays in seconds behind the schedule.

    `end`: the time on the monotonic clock at which NATS had received everything. `final_delay`: the
    delay of the last slice. `cpu`: CPU seconds of publishing.
    """

    published: int
    matching: int
    end: float
    max_delay: float
    final_delay: float
    cpu: float


def due_time(event_id: str) -> float:
    """The time at which the event with this id was due, in seconds since the start of the run."""
    return int(event_id[9:13], 16) * SLICE_SECONDS


def prepare_slices(plan: BurstPlan) -> tuple[list[Pieces], int]:
    """The events of each slice, and the number of matching ones; the last event matches."""
    pick = random.Random(plan.run).random
    unmatched = unmatched_frames(plan.run, plan.pairs)
    templates = matching_templates(plan.run, plan.pairs, plan.sids)
    order = template_order(plan, len(templates), pick)
    slices: list[Pieces] = []
    matching, last = 0, plan.events_before(plan.slices) - 1
    for number in range(plan.slices):
        pieces: list[bytes] = []
        for event in range(plan.events_before(number), plan.events_before(number + 1)):
            if event == last or pick() < plan.share:
                before, after = templates[next(order)]
                event_id = b"%08x-%04x-4000-8000-%012x" % (plan.run, number, matching)
                pieces += (before, event_id, after)
                matching += 1
            else:
                pieces.append(unmatched[int(pick() * POOL_SIZE)])
        slices.append(pieces)
    return slices, matching


def template_order(plan: Plan, templates: int, pick: Callable[[], float]) -> Iterator[int]:
    """Numbers of templates for one matching event after the other; `pick`: random, from 0 to 1."""
    if plan.in_order:
        return (number % templates for number in count())
    if not plan.noisy:
        return iter(lambda: int(pick() * templates), -1)
    rounds = templates // plan.pairs

    def draw() -> int:
        pair = int(pick() * (plan.noisy if pick() < _NOISY_SHARE else plan.pairs))
        return int(pick() * rounds) * plan.pairs + pair

    return iter(draw, -1)


def unmatched_frames(run: int, pairs: int) -> list[bytes]:
    """`POOL_SIZE` NATS frames with events that match no directive."""
    generator, addresses = synthetic.CurrentEventGenerator(run), synthetic.address_pairs(pairs)
    sids = range(synthetic.UNKNOWN_SID, synthetic.UNKNOWN_SID + 500)
    return [frame(SUBJECT, raw) for raw in generator.random_events(POOL_SIZE, addresses, sids)]


def matching_templates(run: int, pairs: int, sids: Sequence[int]) -> list[tuple[bytes, bytes]]:
    """The parts of NATS frames before and after the event id; equally many for each pair."""
    generator, addresses = synthetic.CurrentEventGenerator(run), synthetic.address_pairs(pairs)
    return [
        _template(generator, pair, sids[number % len(sids)])
        for _ in range(max(1, POOL_SIZE // len(addresses)))
        for number, pair in enumerate(addresses)
    ]


def _template(
    generator: synthetic.CurrentEventGenerator, pair: synthetic.AddressPair, sid: int
) -> tuple[bytes, bytes]:
    raw = generator.event(sid, pair, event_id=_ID_PLACEHOLDER, rcvd_time=time.time_ns())
    before, after = frame(SUBJECT, raw).split(_ID_PLACEHOLDER.encode())
    return before, after


def publish_slices(
    publisher: Publisher, slices: Sequence[Pieces], interval: float, start: float
) -> tuple[float, float]:
    """Send a slice every `interval` seconds; late slices follow without a pause.

    Returns the highest delay and that of the last slice, in seconds behind the schedule.
    """
    max_delay = delay = 0.0
    for number, pieces in enumerate(slices):
        due = start + number * interval
        time.sleep(max(0.0, due - time.monotonic()))
        publisher.send(b"".join(pieces))
        delay = time.monotonic() - due
        max_delay = max(max_delay, delay)
    publisher.flush()
    return max_delay, delay


def run_publisher(
    port: int, slices: Sequence[Pieces], interval: float, events: int, matching: int
) -> None:
    """Write `ready`, read the time to start from stdin, publish, and write the report."""
    with Publisher(port) as publisher:
        print("ready", flush=True)
        start = float(sys.stdin.readline())
        cpu = time.process_time()
        max_delay, final_delay = publish_slices(publisher, slices, interval, start)
        end, cpu = time.monotonic(), time.process_time() - cpu
    report = PublishReport(events, matching, end, max_delay, final_delay, cpu)
    print(msgspec.json.encode(report).decode(), flush=True)


def main(plan: BurstPlan) -> None:
    """Publish as planned."""
    gc.disable()
    slices, matching = prepare_slices(plan)
    run_publisher(plan.port, slices, SLICE_SECONDS, plan.events_before(plan.slices), matching)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=BurstPlan))
