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

from benchmarks.engine.per_event import LONG
from benchmarks.support import workload
from tests.support.nats_server import frame

NODE = "bench"
SUBJECT = "dsiem_events"
SEEN = 0.001
"""The share that matches where none should: by its lines one sees how far a contender is."""
_FOUR = (1, 2, 3, 9)
"""Directives, two of which live in each of two workers."""
_USUAL = (1, 10, 10_000)
_POOL = 5000
"""Events that match nothing; and at least so many templates of those that match."""
_NOISE = 0.9
"""The share of the matching events that comes from the noisy pairs, if there are some."""
_MARK = "xxxxxxxx-xxxx-4000-8000-xxxxxxxxxxxx"
_SLICE = 1000
_SEED = 7
"""The same on all sites, so that those of a dimension differ in nothing else."""
Config = Mapping[str, bytes]
"""Files of a node, by name."""
Pieces = Sequence[bytes]
"""Of a thousand events, to be joined."""


class Workload(Struct, frozen=True):
    """A workload: a value of a dimension, and what follows from it.

    `concerned`: the directives that matching events are for. `pairs`: of addresses; each has a
    backlog. `noisy`: how many of them most events come from; 0: all are alike. `workers`: ours.
    """

    dimension: str
    value: int
    name: str
    directives: int = 100
    concerned: Sequence[int] = _FOUR
    occurrences: Sequence[int] = _USUAL
    share: float = 0.1
    pairs: int = 400
    noisy: int = 0
    workers: int = 2
    peers: bool = True

    def config(self) -> Config:
        """The files of the node, by name."""
        return {
            "assets_bench.json": masked(workload.assets()),
            f"directives_{NODE}_all.json": workload.directives(self.directives, self.occurrences),
        }


def _sites() -> Iterator[Workload]:
    for number in (10, 100, 1000, 10_000, 23_500):
        yield Workload("directives", number, f"{number:,} directives", number)
    for number in (1, 100, 5000, 50_000):
        name = f"{number:,} open backlog{'s'[: number > 1]} of a directive"
        yield Workload("backlogs", number, name, 1, (1,), LONG, share=1.0, pairs=number)
    for percent in (0, 10, 100):
        share = percent / 100 or SEEN
        yield Workload("matching", percent, f"{percent} % matching", share=share)
    for number in (1, 2, 4):
        name = f"{number} worker{'s'[: number > 1]}"
        every = range(1, 101)
        yield Workload("workers", number, name, concerned=every, workers=number, peers=False)
    yield Workload("mix", 300, "like a real site", 300, range(1, 301), pairs=2000, noisy=20)


_QUICK = {("directives", 10), ("directives", 1000), ("backlogs", 100), ("mix", 300)}
DIMENSIONS = tuple(dict.fromkeys(site.dimension for site in _sites()))


def chosen(only: Sequence[str], quick: bool) -> list[Workload]:
    """Those of these dimensions; of all, when none is named."""
    return [
        site
        for site in _sites()
        if site.dimension in (only or DIMENSIONS)
        and (only or not quick or (site.dimension, site.value) in _QUICK)
    ]


def masked(assets: bytes) -> bytes:
    """Assets in which a bare address has the mask that it stands for."""
    document = msgspec.json.decode(assets)
    for asset in document["assets"]:
        if "/" not in asset["cidr"]:
            asset["cidr"] += "/128" if ":" in asset["cidr"] else "/32"
    return msgspec.json.encode(document)


class Batch(Struct, frozen=True):
    """Events to be published, of which so many match; their ids begin with the batch's number."""

    number: int
    events: int
    matching: int
    slices: Sequence[Pieces]

    @property
    def mark(self) -> bytes:
        """How the ids of its matching events begin."""
        return b"%08x-" % self.number


class Feed:
    """The events of a site, as they are published, with timestamps of when this is made."""

    def __init__(self, site: Workload) -> None:
        self._site = site
        self._maker = workload.EventMaker(_SEED)
        self._pairs = workload.pairs(site.pairs)
        self._now = now()
        unknown = range(workload.UNKNOWN_SID, workload.UNKNOWN_SID + 500)
        choice = self._maker.random.choice
        draw_all = ((choice(unknown), choice(self._pairs)) for _ in range(_POOL))
        self._others = [frame(SUBJECT, self._event(*one)) for one in draw_all]
        rounds = max(1, _POOL // site.pairs)
        self._templates = [[self._template(pair) for _ in range(rounds)] for pair in self._numbers]

    @property
    def _numbers(self) -> range:
        return range(self._site.pairs)

    def _template(self, pair: int) -> tuple[bytes, bytes]:
        """What comes before and after the id in an event of this pair."""
        concerned = self._site.concerned
        sid = workload.FIRST_SID - 1 + concerned[pair % len(concerned)]
        raw = self._event(sid, self._pairs[pair], event_id=_MARK)
        before, after = frame(SUBJECT, raw).split(_MARK.encode())
        return before, after

    def _event(self, sid: int, pair: workload.Pair, **more: str) -> bytes:
        fields = {"timestamp": self._now, "protocol": "TCP/IP", "rcvd_time": time.time_ns()}
        return self._maker.event(sid, pair, **fields, **more)

    def opening(self) -> Batch:
        """One event for each pair, which opens its backlog."""
        draw_all = [[*self._matching(1, pair, pair)] for pair in self._numbers]
        return Batch(1, len(draw_all), len(draw_all), _sliced(draw_all))

    def batch(self, number: int, count: int) -> Batch:
        """So many events, of which the site's share matches, the last one too."""
        draw = random.Random(number).random
        draw_all: list[Pieces] = []
        matching = 0
        for event in range(count):
            if draw() < self._site.share or event == count - 1:
                draw_all.append(self._matching(number, matching, self._pair(draw())))
                matching += 1
            else:
                draw_all.append((self._others[int(draw() * _POOL)],))
        return Batch(number, count, matching, _sliced(draw_all))

    def _pair(self, draw_all: float) -> int:
        """The number of a pair, from a number between 0 and 1."""
        noisy = self._site.noisy
        if noisy and draw_all < _NOISE:
            return int(draw_all / _NOISE * noisy)
        return int(draw_all * self._site.pairs)

    def _matching(self, batch: int, number: int, pair: int) -> Pieces:
        some = self._templates[pair]
        before, after = some[number % len(some)]
        return before, b"%08x-0000-4000-8000-%012x" % (batch, number), after


def _sliced(draw_all: Sequence[Pieces]) -> list[Pieces]:
    starts = range(0, len(draw_all), _SLICE)
    return [[piece for one in draw_all[at : at + _SLICE] for piece in one] for at in starts]


def now(seconds: float = 0.0) -> str:
    """The time so many seconds from now, as all contenders read it."""
    moment = datetime.fromtimestamp(time.time() + seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
