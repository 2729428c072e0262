"""The workloads of a comparison: each a configuration, and events for it, from a seed.

Peers accept less than this project does: every asset has a mask, timestamps end in Z, and the
protocol of the events is that of the rules.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from benchmarks.support import synthetic
from tests.support.nats_server import frame

NODE = "bench"
SUBJECT = "dsiem_events"
PROGRESS_SHARE = 0.001
"""The share of matching events where none need to match: their lines show the progress."""
_FOUR_DIRECTIVES = (1, 2, 3, 9)
"""Directives, of which each of two workers has two."""
_OCCURRENCES = (1, 10, 10_000)
"""Occurrences of the three stages of a directive, unless the workload has others."""
_POOL_SIZE = 5000
"""Number of different unmatched events, and the minimum number of templates of matching ones."""
_NOISY_SHARE = 0.9
"""The share of the matching events that comes from the noisy pairs, if there are any."""
_ID_PLACEHOLDER = "xxxxxxxx-xxxx-4000-8000-xxxxxxxxxxxx"
_SLICE = 1000
_SEED = 7
"""The same for all workloads, so that those of a dimension differ in nothing else."""
Config = Mapping[str, bytes]
"""Files of a node, by name."""
Pieces = Sequence[bytes]
"""Parts of NATS frames, which are joined when they are sent."""


class Workload(Struct, frozen=True):
    """A value of a dimension, and the parameters that follow from it.

    `concerned`: directives that matching events are for. `pairs`: number of address pairs, each
    with a backlog. `noisy`: number of pairs with most of the events; 0: all pairs are equal.
    `workers`: for this project. `peers`: whether peers take part.
    """

    dimension: str
    value: int
    name: str
    directives: int = 100
    concerned: Sequence[int] = _FOUR_DIRECTIVES
    occurrences: Sequence[int] = _OCCURRENCES
    share: float = 0.1
    pairs: int = 400
    noisy: int = 0
    workers: int = 2
    peers: bool = True

    def config(self) -> Config:
        """The files of the node, by name."""
        return {
            "assets_bench.json": with_masks(synthetic.assets()),
            f"directives_{NODE}_all.json": synthetic.directives(self.directives, self.occurrences),
        }


def _all_workloads() -> Iterator[Workload]:
    for number in (10, 100, 1000, 10_000, 23_500):
        yield Workload("directives", number, f"{number:,} directives", number)
    for number in (1, 100, 5000, 50_000):
        name = f"{number:,} open backlog{'s'[: number > 1]} of a directive"
        stages = synthetic.STAY_AT_STAGE_2
        yield Workload("backlogs", number, name, 1, (1,), stages, share=1.0, pairs=number)
    for percent in (0, 10, 100):
        share = percent / 100 or PROGRESS_SHARE
        yield Workload("matching", percent, f"{percent} % matching", share=share)
    for number in (1, 2, 4):
        name = f"{number} worker{'s'[: number > 1]}"
        every = range(1, 101)
        yield Workload("workers", number, name, concerned=every, workers=number, peers=False)
    yield Workload("mix", 300, "like a real site", 300, range(1, 301), pairs=2000, noisy=20)


_QUICK = {("directives", 10), ("directives", 1000), ("backlogs", 100), ("mix", 300)}
DIMENSIONS = tuple(dict.fromkeys(workload.dimension for workload in _all_workloads()))


def select_workloads(dimensions: Sequence[str], quick: bool) -> list[Workload]:
    """The workloads of these dimensions, or all; without a dimension, `quick` selects four."""
    return [
        workload
        for workload in _all_workloads()
        if workload.dimension in (dimensions or DIMENSIONS)
        and (dimensions or not quick or (workload.dimension, workload.value) in _QUICK)
    ]


def with_masks(assets: bytes) -> bytes:
    """An assets document in which bare addresses have the mask /32 or /128."""
    document = msgspec.json.decode(assets)
    for asset in document["assets"]:
        if "/" not in asset["cidr"]:
            asset["cidr"] += "/128" if ":" in asset["cidr"] else "/32"
    return msgspec.json.encode(document)


class Batch(Struct, frozen=True):
    """Events to publish; the ids of matching ones begin with the number of the batch."""

    number: int
    events: int
    matching: int
    slices: Sequence[Pieces]

    @property
    def id_prefix(self) -> bytes:
        """The beginning of the ids of its matching events."""
        return b"%08x-" % self.number


class EventFeed:
    """Generates the events of a workload, with the time of its creation as their timestamp."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._generator = synthetic.EventGenerator(_SEED)
        self._pairs = synthetic.address_pairs(workload.pairs)
        self._timestamp = timestamp()
        unknown = range(synthetic.UNKNOWN_SID, synthetic.UNKNOWN_SID + 500)
        choice = self._generator.random.choice
        drawn = ((choice(unknown), choice(self._pairs)) for _ in range(_POOL_SIZE))
        self._unmatched = [frame(SUBJECT, self._event(sid, pair)) for sid, pair in drawn]
        count = max(1, _POOL_SIZE // workload.pairs)
        self._templates = [
            [self._template(pair) for _ in range(count)] for pair in range(workload.pairs)
        ]

    def _template(self, pair: int) -> tuple[bytes, bytes]:
        """The parts of a NATS frame before and after the event id, for this pair."""
        concerned = self._workload.concerned
        sid = synthetic.FIRST_SID - 1 + concerned[pair % len(concerned)]
        raw = self._event(sid, self._pairs[pair], event_id=_ID_PLACEHOLDER)
        before, after = frame(SUBJECT, raw).split(_ID_PLACEHOLDER.encode())
        return before, after

    def _event(self, sid: int, pair: synthetic.AddressPair, **more: str) -> bytes:
        received = time.time_ns()
        fields = {"timestamp": self._timestamp, "protocol": "TCP/IP", "rcvd_time": received}
        return self._generator.event(sid, pair, **fields, **more)

    def opening_batch(self) -> Batch:
        """One event for each pair, which opens its backlog."""
        events = [[*self._matching(1, pair, pair)] for pair in range(self._workload.pairs)]
        return Batch(1, len(events), len(events), _slices(events))

    def batch(self, number: int, count: int) -> Batch:
        """`count` events, of which the share of the workload matches; the last event matches."""
        draw = random.Random(number).random
        events: list[Pieces] = []
        matching = 0
        for event in range(count):
            if draw() < self._workload.share or event == count - 1:
                events.append(self._matching(number, matching, self._pair(draw())))
                matching += 1
            else:
                events.append((self._unmatched[int(draw() * _POOL_SIZE)],))
        return Batch(number, count, matching, _slices(events))

    def _pair(self, random_number: float) -> int:
        """The number of a pair, from a random number from 0 to 1."""
        noisy = self._workload.noisy
        if noisy and random_number < _NOISY_SHARE:
            return int(random_number / _NOISY_SHARE * noisy)
        return int(random_number * self._workload.pairs)

    def _matching(self, batch: int, number: int, pair: int) -> Pieces:
        templates = self._templates[pair]
        before, after = templates[number % len(templates)]
        return before, b"%08x-0000-4000-8000-%012x" % (batch, number), after


def _slices(events: Sequence[Pieces]) -> list[Pieces]:
    """The pieces of `_SLICE` events each, which are sent together."""
    starts = range(0, len(events), _SLICE)
    return [[piece for event in events[at : at + _SLICE] for piece in event] for at in starts]


def timestamp(seconds: float = 0.0) -> str:
    """The time `seconds` from now, in a form that all backends accept."""
    moment = datetime.fromtimestamp(time.time() + seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
