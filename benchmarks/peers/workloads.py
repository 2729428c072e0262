"""The workloads of a comparison: each a configuration, and the plan of its events, from a seed.

Peers accept less than this project does: every asset has a mask, timestamps end in Z, and the
protocol of the events is that of the rules.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from benchmarks.cluster.publisher import BurstPlan, Plan, matching_templates
from benchmarks.latency.paced_publisher import PacedPlan
from benchmarks.support import synthetic

NODE = "bench"
SUBJECT = "dsiem_events"
_PROGRESS_SHARE = 0.001
"""The share of matching events where none need to match: their lines show the progress."""
_FOUR_DIRECTIVES = (1, 2, 3, 9)
"""Directives, of which each of two workers has two."""
_OCCURRENCES = (1, 10, 10_000)
"""Occurrences of the three stages of a directive, unless the workload has others."""
Config = Mapping[str, bytes]
"""Files of a node, by name."""


class Workload(Struct, frozen=True):
    """A value of a dimension, and the parameters that follow from it.

    `concerned`: directives that matching events are for. `reliability`: of the three stages, if
    not the usual one. `pairs`: number of address pairs, each with a backlog. `noisy`: number of
    pairs with most of the events; 0: all pairs are equal. `in_order`: the pairs follow each other.
    `workers`: for this project. `peers`: whether peers take part.
    """

    dimension: str
    value: int
    name: str
    directives: int = 100
    concerned: Sequence[int] = _FOUR_DIRECTIVES
    occurrences: Sequence[int] = _OCCURRENCES
    reliability: Sequence[int] = ()
    share: float = 0.1
    pairs: int = 400
    noisy: int = 0
    in_order: bool = False
    workers: int = 2
    peers: bool = True

    def config(self) -> Config:
        """The files of the node, by name."""
        directives = synthetic.directives(self.directives, self.occurrences)
        if self.reliability:
            directives = _with_reliability(directives, self.reliability)
        return {
            "assets_bench.json": with_masks(synthetic.assets()),
            f"directives_{NODE}_all.json": directives,
        }

    def bursts(self, port: int, run: int, rate: int, seconds: float) -> BurstPlan:
        """Events that are sent every 10 ms."""
        plan = self._plan(port, run, rate, seconds)
        return BurstPlan(**msgspec.structs.asdict(plan))

    def paced(self, port: int, run: int, rate: int, seconds: float) -> PacedPlan:
        """Evenly spaced events."""
        plan = self._plan(port, run, rate, seconds)
        return PacedPlan(**msgspec.structs.asdict(plan))

    def _plan(self, port: int, run: int, rate: int, seconds: float) -> Plan:
        sids = self._sids()
        return Plan(
            port, run, rate, seconds, self.share, sids, self.pairs, self.in_order, self.noisy
        )

    def _sids(self) -> tuple[int, ...]:
        return tuple(synthetic.FIRST_SID - 1 + directive for directive in self.concerned)

    def opening_frames(self) -> list[tuple[bytes, bytes]]:
        """The parts of a NATS frame before and after the event id, one frame for each pair."""
        return matching_templates(1, self.pairs, self._sids())[: self.pairs]


def _with_reliability(directives: bytes, reliability: Sequence[int]) -> bytes:
    document = msgspec.json.decode(directives)
    for directive in document["directives"]:
        for rule, value in zip(directive["rules"], reliability, strict=True):
            rule["reliability"] = value
    return msgspec.json.encode(document)


def _all_workloads() -> Iterator[Workload]:
    for number in (10, 100, 1000, 10_000, 23_500):
        yield Workload("directives", number, f"{number:,} directives", number)
    for number in (1, 100, 5000, 50_000):
        name = f"{number:,} open backlog{'s'[: number > 1]} of a directive"
        stages = synthetic.STAY_AT_STAGE_2
        peers = number < 50_000  # none opens as many within minutes
        yield Workload(
            "backlogs", number, name, 1, (1,), stages, share=1.0, pairs=number, peers=peers
        )
    for percent in (0, 100):  # the directives above: 10
        share = percent / 100 or _PROGRESS_SHARE
        yield Workload("matching", percent, f"{percent} % matching", share=share)
    for number in (1, 2, 4):
        name = f"{number} worker{'s'[: number > 1]}"
        every = range(1, 101)
        yield Workload("workers", number, name, concerned=every, workers=number, peers=False)
    yield Workload("mix", 300, "like a real site", 300, range(1, 301), pairs=2000, noisy=20)


_QUICK = {("directives", 100), ("backlogs", 100)}
DIMENSIONS = tuple(dict.fromkeys(workload.dimension for workload in _all_workloads()))


def select_workloads(dimensions: Sequence[str], quick: bool) -> list[Workload]:
    """The workloads of these dimensions; `quick` selects two of them."""
    return [
        workload
        for workload in _all_workloads()
        if workload.dimension in dimensions
        and (not quick or (workload.dimension, workload.value) in _QUICK)
    ]


def with_masks(assets: bytes) -> bytes:
    """An assets document in which bare addresses have the mask /32 or /128."""
    document = msgspec.json.decode(assets)
    for asset in document["assets"]:
        if "/" not in asset["cidr"]:
            asset["cidr"] += "/128" if ":" in asset["cidr"] else "/32"
    return msgspec.json.encode(document)


def timestamp(seconds: float = 0.0) -> str:
    """The time `seconds` from now, in a form that all backends accept."""
    moment = datetime.fromtimestamp(time.time() + seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
