"""The series of the plots, from compare.json: a line for each peer, a point for each value.

Fields of the file that no plot needs are ignored.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from textwrap import shorten
from typing import Literal

from msgspec import Struct

Quantity = Literal["rate", "pss_mb"]
OURS = "ours"


class Run(Struct, frozen=True):
    """One run of a contender, with so many directives, backlogs or whatever the dimension is."""

    dimension: str
    value: float | str
    contender: str
    rate: float | None = None
    pss_mb: float | None = None
    lost: int = 0
    finished: bool = True
    note: str = ""


class Place(Struct, frozen=True):
    """Where and when figures were taken; every JSON file of a benchmark has it."""

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
    """The runs of all contenders, and what version of each it was."""

    runs: Sequence[Run]
    versions: dict[str, str] = {}


class Dot(Struct, frozen=True):
    """The median of the repeats, the least and the most; None where nothing could be measured.

    `finished`: whether each of them did. `note`: what is to be said of the first that did not.
    `lost`: events, in those that finished, at most.
    """

    value: float
    least: float | None
    middle: float | None
    most: float | None
    finished: bool
    note: str
    lost: int


class Line(Struct, frozen=True):
    """The dots of a contender, in the order of their values."""

    contender: str
    dots: Sequence[Dot]

    @property
    def unfinished(self) -> str:
        """What did not finish, for people; empty when all did."""
        return self._told({dot.value: dot.note for dot in self.dots if not dot.finished})

    @property
    def lost(self) -> str:
        """What was lost though it finished, for people; empty when nothing was."""
        return self._told({dot.value: f"{dot.lost:,}" for dot in self.dots if dot.lost})

    def _told(self, texts: Mapping[float, str]) -> str:
        told = [f"{value:,g} ({text})" if text else f"{value:,g}" for value, text in texts.items()]
        return f"{self.contender} at {', at '.join(told)}" if told else ""


def lines(comparison: Comparison, dimension: str, quantity: Quantity) -> list[Line]:
    """Those of a dimension, one for each contender."""
    runs = [run for run in comparison.runs if run.dimension == dimension]
    return [
        Line(name, _dots([run for run in runs if run.contender == name], quantity))
        for name in contenders(runs)
    ]


def contenders(runs: Sequence[Run]) -> list[str]:
    """Ours first, the others in the order of the file."""
    return sorted(dict.fromkeys(run.contender for run in runs), key=OURS.__ne__)


def _dots(runs: Sequence[Run], quantity: Quantity) -> list[Dot]:
    values = sorted({run.value for run in runs if isinstance(run.value, float)})
    return [_dot(value, [run for run in runs if run.value == value], quantity) for value in values]


def _dot(value: float, repeats: Sequence[Run], quantity: Quantity) -> Dot:
    known = [number for run in repeats if (number := getattr(run, quantity))]
    left = [run for run in repeats if not run.finished]
    return Dot(
        value=value,
        least=min(known, default=None),
        middle=median(known) if known else None,
        most=max(known, default=None),
        finished=not left,
        note=_brief(left[0].note) if left else "",
        lost=max((run.lost for run in repeats if run.finished), default=0),
    )


def _brief(note: str) -> str:
    return shorten(note.removeprefix("not finished: "), 100, placeholder=" …")
