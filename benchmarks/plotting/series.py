"""The series of the plots, from compare.json: a line for each backend, a point for each value.

Fields of the file that no plot needs are ignored.
"""

from collections.abc import Iterator, Sequence
from statistics import median
from textwrap import shorten
from typing import Literal

from msgspec import Struct

Topic = Literal["rates", "steady", "life"]
OURS = "ours"


class RateRun(Struct, frozen=True):
    """The rate that a backend sustains; `value` is for example the number of directives."""

    dimension: str
    value: float
    backend: str
    sustained: int = 0
    with_losses: int = 0
    lost_share: float = 0.0
    note: str = ""


class SteadyRun(Struct, frozen=True):
    """The latency of a backend at a rate (`value`)."""

    value: float
    backend: str
    p99: float | None = None
    lost: int = 0
    kept_up: bool = True


class LifeRun(Struct, frozen=True):
    """The idle memory of a backend with `value` directives."""

    value: float
    backend: str
    idle_mb: float


class Provenance(Struct, frozen=True):
    """Where and when figures were measured, from the JSON file of any benchmark."""

    date: str
    machine: str
    cores: int | None = None
    python: str = ""
    commit: str | None = None

    def __str__(self) -> str:
        commit = f"commit {self.commit}" if self.commit else ""
        python = f"Python {self.python}" if self.python else ""
        cores = f"{self.cores} cores" if self.cores else ""
        return ", ".join(filter(None, (self.machine, cores, python, commit, self.date[:10])))


class Comparison(Struct, frozen=True):
    """The runs of all backends, and their versions by name."""

    versions: dict[str, str] = {}
    rates: Sequence[RateRun] = ()
    steady: Sequence[SteadyRun] = ()
    life: Sequence[LifeRun] = ()


class Measured(Struct, frozen=True):
    """The figure of a run, None if there is none; `low`: another one, which the bar begins at.

    `flaw`: why its point is hollow; empty if it is not.
    """

    backend: str
    value: float
    figure: float | None
    low: float | None = None
    flaw: str = ""


class Point(Struct, frozen=True):
    """Minimum, median and maximum of the repeats; None where nothing could be measured."""

    value: float
    minimum: float | None
    median: float | None
    maximum: float | None
    flaw: str


class Line(Struct, frozen=True):
    """The points of a backend, in the order of their values."""

    backend: str
    points: Sequence[Point]

    @property
    def flaws(self) -> str:
        """The values with hollow points, for the caption; may be empty."""
        parts = [f"{point.value:,g} ({point.flaw})" for point in self.points if point.flaw]
        return f"{self.backend} at {', at '.join(parts)}" if parts else ""


def measured(comparison: Comparison, topic: Topic, dimension: str) -> Iterator[Measured]:
    """What a topic has measured; `dimension`: of the rates."""
    if topic == "rates":
        yield from (_rate(run) for run in comparison.rates if run.dimension == dimension)
    elif topic == "steady":
        for run in comparison.steady:
            flaw = f"{run.lost:,} lost" if run.lost else "does not keep up"
            yield Measured(run.backend, run.value, run.p99, flaw="" if run.kept_up else flaw)
    else:
        yield from (Measured(run.backend, run.value, run.idle_mb) for run in comparison.life)


def _rate(run: RateRun) -> Measured:
    """The rate with losses forgiven; the bar begins at the one without."""
    if not run.with_losses:
        flaw = shorten(run.note or "no rate", 60, placeholder=" …")
        return Measured(run.backend, run.value, None, flaw=flaw)
    flaw = f"{run.lost_share:.2%} lost" if run.lost_share else ""
    return Measured(run.backend, run.value, run.with_losses, run.sustained or None, flaw)


def lines(runs: Sequence[Measured]) -> list[Line]:
    """A line for each backend."""
    return [
        Line(name, _points([run for run in runs if run.backend == name]))
        for name in backends(run.backend for run in runs)
    ]


def backends(names: Iterator[str]) -> list[str]:
    """The different names: ours first, the others in their order."""
    return sorted(dict.fromkeys(names), key=OURS.__ne__)


def _points(runs: Sequence[Measured]) -> list[Point]:
    values = sorted({run.value for run in runs})
    return [_point(value, [run for run in runs if run.value == value]) for value in values]


def _point(value: float, repeats: Sequence[Measured]) -> Point:
    figures = [run.figure for run in repeats if run.figure is not None]
    lows = [run.low for run in repeats if run.low is not None]
    return Point(
        value=value,
        minimum=min((*figures, *lows), default=None),
        median=median(figures) if figures else None,
        maximum=max(figures, default=None),
        flaw=next((run.flaw for run in repeats if run.flaw), ""),
    )
