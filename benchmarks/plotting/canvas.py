"""The style of the plots: title, legend, two logarithmic axes, caption; deterministic output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from msgspec import Struct

_WIDTH, _AXES = 7.2, 3.3
"""Inches: of the picture, and the height of the axes."""
_ABOVE, _BELOW, _LINE = 0.66, 0.6, 0.145
"""Inches: for title and legend, for the x axis, for each line of the caption."""
_CAPTION = 120
"""Characters of a line of the caption."""
_LOOK: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.labelcolor": "#222222",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9.0,
    "grid.color": "#dddddd",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "dsiem-shards",
    "text.color": "#222222",
    "xtick.color": "#666666",
    "xtick.labelcolor": "#222222",
    "ytick.color": "#666666",
    "ytick.labelcolor": "#222222",
}
"""On white, since a page may be dark; text as text, a quarter of the bytes of its outlines."""
_NOTHING: Mapping[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


class Style(Struct, frozen=True):
    """A colour and a marker."""

    colour: str
    marker: str


STYLES = tuple(
    Style(colour, marker)
    for colour, marker in (
        *(("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"), ("#cc79a7", "D")),
        *(("#e69f00", "v"), ("#56b4e9", "P")),
    )
)
"""Those of Okabe and Ito, which everybody can tell apart."""


class Canvas:
    """A picture; things are added to it, and it is saved."""

    def __init__(self, title: str, caption: Sequence[str]) -> None:
        text = "\n".join(fill(part, _CAPTION, break_on_hyphens=False) for part in caption if part)
        below = _BELOW + _LINE * (text.count("\n") + 1)
        height = _ABOVE + _AXES + below
        with context(["default", _LOOK]):
            self._figure = Figure(figsize=(_WIDTH, height))
            place = (0.125, below / height, 0.86, _AXES / height)
            self._axes = self._figure.add_axes(place, xscale="log", yscale="log")
            self._figure.text(0.012, 1 - 0.1 / height, title, size=11.5, weight="bold", va="top")
            self._figure.text(0.012, 0.08 / height, text, size=7.5, color="#555555", va="bottom")
        self._axes.margins(x=0.06, y=0.13)

    def across(self, label: str, ticks: Mapping[float, str]) -> None:
        """What is on the x axis: ticks at these places with these texts, and nowhere else."""
        self._axes.set_xlabel(label)
        self._axes.xaxis.set_minor_locator(NullLocator())
        self._axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
        self._axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: ticks.get(at, "")))

    def up(self, label: str, multiples: Sequence[float] = (1.0,)) -> None:
        """What is on the y axis: ticks at these multiples of each power of ten."""
        self._axes.set_ylabel(label)
        self._axes.yaxis.set_label_coords(-0.115, 0.5)  # the same wherever numbers end
        self._axes.yaxis.set_minor_locator(NullLocator())
        self._axes.yaxis.set_major_locator(LogLocator(subs=multiples))
        self._axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.12g}"))

    def line(self, xs: Sequence[float], ys: Sequence[float], style: Style) -> None:
        """A line without dots."""
        self._axes.plot(xs, ys, color=style.colour, linewidth=1.6)

    def bar(self, x: float, low: float, high: float, style: Style) -> None:
        """How far something spreads."""
        self._axes.plot((x, x), (low, high), color=style.colour, linewidth=4, alpha=0.35)

    def dot(self, x: float, y: float | None, style: Style, hollow: bool = False) -> None:
        """A dot; at the bottom, when it is not known how high it belongs."""
        across = self._axes.transData if y is not None else self._axes.get_xaxis_transform()
        self._axes.plot(
            (x,),
            (0.03 if y is None else y,),
            transform=across,
            color=style.colour,
            marker=style.marker,
            markerfacecolor="white" if hollow else style.colour,
            markersize=6,
            linestyle="none",
        )

    def text(self, x: float, y: float, text: str, above: bool) -> None:
        """A small text over or under a dot."""
        up = 6 if above else -6
        self._axes.annotate(
            text,
            (x, y),
            xytext=(0, up),
            textcoords="offset points",
            size=7,
            ha="center",
            va="bottom" if above else "top",
        )

    def legend(self, names: Mapping[str, Style]) -> None:
        """Above the axes, where it hides nothing."""
        for name, style in names.items():
            self._axes.plot((), (), color=style.colour, marker=style.marker, label=name)
        self._axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=len(names), frameon=False
        )

    def save(self, path: Path) -> None:
        """As SVG, without a word about when it was drawn and with what."""
        with context(["default", _LOOK]):
            self._figure.savefig(path, format="svg", metadata=_NOTHING)
