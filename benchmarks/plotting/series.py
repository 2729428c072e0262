"""The series of the plots, from compare.json: a line for each backend, a point for each value.

Fields of the file that no plot needs are ignored.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from textwrap import shorten
from typing import Literal

from msgspec import Struct, field

Quantity = Literal["rate", "pss_mb"]
OURS = "ours"


class Run(Struct, frozen=True):
    """One run of a backend; `value` is for example the number of directives."""

    dimension: str
    value: float | str
    backend: str = field(name="contender")
    rate: float | None = None
    pss_mb: float | None = None
    lost: int = 0
    finished: bool = True
    note: str = ""


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

    runs: Sequence[Run]
    versions: dict[str, str] = {}


class Point(Struct, frozen=True):
    """Minimum, median and maximum of the repeats; None where nothing could be measured.

    `finished`: all repeats finished. `note`: from the first that did not. `lost`: highest number of
    events lost by a repeat that finished.
    """

    value: float
    minimum: float | None
    median: float | None
    maximum: float | None
    finished: bool
    note: str
    lost: int


class Line(Struct, frozen=True):
    """The points of a backend, in the order of their values."""

    backend: str
    points: Sequence[Point]

    @property
    def unfinished(self) -> str:
        """The values at which it did not finish, for the caption; may be empty."""
        return self._list({point.value: point.note for point in self.points if not point.finished})

    @property
    def lost(self) -> str:
        """The values at which it finished and lost events, for the caption; may be empty."""
        return self._list({point.value: f"{point.lost:,}" for point in self.points if point.lost})

    def _list(self, texts: Mapping[float, str]) -> str:
        parts = [f"{value:,g} ({text})" if text else f"{value:,g}" for value, text in texts.items()]
        return f"{self.backend} at {', at '.join(parts)}" if parts else ""


def lines(comparison: Comparison, dimension: str, quantity: Quantity) -> list[Line]:
    """The lines of a dimension, one for each backend."""
    runs = [run for run in comparison.runs if run.dimension == dimension]
    return [
        Line(name, _points([run for run in runs if run.backend == name], quantity))
        for name in backends(runs)
    ]


def backends(runs: Sequence[Run]) -> list[str]:
    """The names of the backends: ours first, the others in the order of the file."""
    return sorted(dict.fromkeys(run.backend for run in runs), key=OURS.__ne__)


def _points(runs: Sequence[Run], quantity: Quantity) -> list[Point]:
    values = sorted({run.value for run in runs if isinstance(run.value, float)})
    return [
        _point(value, [run for run in runs if run.value == value], quantity) for value in values
    ]


def _point(value: float, repeats: Sequence[Run], quantity: Quantity) -> Point:
    figures = [figure for run in repeats if (figure := getattr(run, quantity))]
    unfinished = [run for run in repeats if not run.finished]
    return Point(
        value=value,
        minimum=min(figures, default=None),
        median=median(figures) if figures else None,
        maximum=max(figures, default=None),
        finished=not unfinished,
        note=_shortened(unfinished[0].note) if unfinished else "",
        lost=max((run.lost for run in repeats if run.finished), default=0),
    )


def _shortened(note: str) -> str:
    return shorten(note.removeprefix("not finished: "), 100, placeholder=" …")
