"""The goals of this project: by themselves, and relative to each peer in the same comparison."""

from collections.abc import Iterator, Sequence
from math import inf
from statistics import median

from msgspec import Struct

from benchmarks.peers.backend import OURS
from benchmarks.peers.comparison import Results
from benchmarks.peers.record import Record


class Goal(Struct, frozen=True):
    """A limit for a figure of ours at a value of a dimension; with a peer, for ours / the peer's.

    `victim`: the losses are those at its death.
    """

    dimension: str
    value: int
    figure: str
    limit: float
    at_least: bool = False
    peer: str | None = None
    victim: str = ""


def _rate(dimension: str, value: int, peer: str, limit: float) -> Goal:
    return Goal(dimension, value, "sustained", limit, at_least=True, peer=peer)


def _steady_goals() -> Iterator[Goal]:
    for rate in (1000, 5000, 20_000, 50_000):
        if rate < 50_000:
            yield Goal("steady", rate, "p50", 1.2)
        yield Goal("steady", rate, "p99", 2.8 if rate < 50_000 else 8.0)
        for figure in ("p50", "p99", "cores"):
            yield Goal("steady", rate, figure, 1.0, peer="dsiem-rs")


GOALS = (
    _rate("directives", 10, "go", 8),
    _rate("directives", 100, "go", 30),
    _rate("directives", 1000, "go", 350),
    _rate("backlogs", 5000, "go", 900),
    _rate("directives", 100, "dsiem-rs", 12),
    _rate("backlogs", 1, "dsiem-rs", 2.5),
    _rate("backlogs", 100, "dsiem-rs", 30),
    *_steady_goals(),
    Goal("life", 100, "start", 0.4),
    Goal("life", 23_500, "start", 1.5),
    Goal("life", 100, "idle_mb", 80),
    Goal("life", 10_000, "idle_mb", 160),
    Goal("life", 23_500, "idle_mb", 300),
    *(
        Goal("losses", 2000, figure, 0, victim=victim)
        for victim in ("one worker, core NATS", "one worker, stream", "all processes, stream")
        for figure in ("missing", "without_line")
    ),
)


class Verdict(Struct, frozen=True):
    """What was reached of a goal."""

    goal: Goal
    reached: float

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        limit = self.goal.limit
        return self.reached >= limit if self.goal.at_least else self.reached <= limit


def judge(results: Results) -> list[Verdict]:
    """A verdict on each goal that the results have figures for."""
    runs: list[Record] = [*results.rates, *results.steady, *results.life, *results.losses]
    return [
        Verdict(goal, reached)
        for goal in GOALS
        if (reached := _reached(goal, [run for run in runs if _concerns(goal, run)])) is not None
    ]


def _concerns(goal: Goal, run: Record) -> bool:
    """Whether the run is of the goal's measurement."""
    key = (run.dimension, run.value, getattr(run, "victim", ""))
    return key == (goal.dimension, goal.value, goal.victim)


def _reached(goal: Goal, runs: Sequence[Record]) -> float | None:
    """The median of ours, or its ratio to that of the peer; None when one of them is missing."""
    ours = _median(goal.figure, runs, OURS)
    if goal.peer is None or ours is None:
        return ours
    figure = "with_losses" if goal.figure == "sustained" else goal.figure  # in the peer's favour
    peer = _median(figure, runs, goal.peer)
    return ours / peer if peer and peer != inf else None


def _median(figure: str, runs: Sequence[Record], backend: str) -> float | None:
    figures = [_figure(figure, run) for run in runs if run.backend == backend]
    return median(figures) if figures else None


def _figure(name: str, run: Record) -> float:
    """The figure of a run; infinite latency and cost where the backend did not keep up."""
    figure = getattr(run, name)
    kept_up = getattr(run, "kept_up", True)
    return inf if figure is None or not kept_up else float(figure)
