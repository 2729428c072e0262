"""The style of the plots: title, legend, two logarithmic axes, caption; deterministic output."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from msgspec import Struct

_WIDTH, _AXES_HEIGHT = 7.2, 3.3
"""Inches: of the picture, and the height of the axes."""
_TOP_HEIGHT, _BOTTOM_HEIGHT, _CAPTION_LINE_HEIGHT = 0.66, 0.6, 0.145
"""Inches: for title and legend, for the x axis, for each line of the caption."""
_CAPTION_WIDTH = 120
"""Characters of a line of the caption."""
_RC_PARAMS: dict[Any, Any] = {
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
"""A white background, since pages may be dark; text as text, a quarter of the size of outlines."""
_NO_METADATA: Mapping[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


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
"""The colours of Okabe and Ito, which colour-blind people can distinguish."""


class Canvas:
    """A picture with a title, two logarithmic axes, a legend and a caption."""

    def __init__(self, title: str, caption: Sequence[str]) -> None:
        text = "\n".join(
            fill(part, _CAPTION_WIDTH, break_on_hyphens=False) for part in caption if part
        )
        bottom = _BOTTOM_HEIGHT + _CAPTION_LINE_HEIGHT * (text.count("\n") + 1)
        height = _TOP_HEIGHT + _AXES_HEIGHT + bottom
        with context(["default", _RC_PARAMS]):
            self._figure = Figure(figsize=(_WIDTH, height))
            position = (0.125, bottom / height, 0.86, _AXES_HEIGHT / height)
            self._axes = self._figure.add_axes(position, xscale="log", yscale="log")
            self._figure.text(0.012, 1 - 0.1 / height, title, size=11.5, weight="bold", va="top")
            self._figure.text(0.012, 0.08 / height, text, size=7.5, color="#555555", va="bottom")
        self._axes.margins(x=0.06, y=0.13)

    def x_axis(self, label: str, ticks: Mapping[float, str]) -> None:
        """Label the x axis, with these texts as its only ticks."""
        self._axes.set_xlabel(label)
        self._axes.xaxis.set_minor_locator(NullLocator())
        self._axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
        self._axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: ticks.get(at, "")))

    def y_axis(self, label: str, multiples: Sequence[float] = (1.0,)) -> None:
        """Label the y axis, with ticks at these multiples of each power of ten."""
        self._axes.set_ylabel(label)
        self._axes.yaxis.set_label_coords(-0.115, 0.5)  # the same wherever numbers end
        self._axes.yaxis.set_minor_locator(NullLocator())
        self._axes.yaxis.set_major_locator(LogLocator(subs=multiples))
        self._axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.12g}"))

    def line(self, xs: Sequence[float], ys: Sequence[float], style: Style) -> None:
        """A line without dots."""
        self._axes.plot(xs, ys, color=style.colour, linewidth=1.6)

    def range_bar(self, x: float, low: float, high: float, style: Style) -> None:
        """Draw a pale vertical bar from `low` to `high`."""
        self._axes.plot((x, x), (low, high), color=style.colour, linewidth=4, alpha=0.35)

    def point(self, x: float, y: float | None, style: Style, hollow: bool = False) -> None:
        """A point; at the bottom, when it is not known how high it belongs."""
        transform = self._axes.transData if y is not None else self._axes.get_xaxis_transform()
        self._axes.plot(
            (x,),
            (0.03 if y is None else y,),
            transform=transform,
            color=style.colour,
            marker=style.marker,
            markerfacecolor="white" if hollow else style.colour,
            markersize=6,
            linestyle="none",
        )

    def text(self, x: float, y: float, text: str, above: bool) -> None:
        """Write a small text above or below a point."""
        offset = 6 if above else -6
        self._axes.annotate(
            text,
            (x, y),
            xytext=(0, offset),
            textcoords="offset points",
            size=7,
            ha="center",
            va="bottom" if above else "top",
        )

    def legend(self, names: Mapping[str, Style]) -> None:
        """Draw the legend above the axes."""
        for name, style in names.items():
            self._axes.plot((), (), color=style.colour, marker=style.marker, label=name)
        self._axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=len(names), frameon=False
        )

    def save(self, path: Path) -> None:
        """Write the picture as SVG, without a date, so that equal pictures have equal bytes."""
        with context(["default", _RC_PARAMS]):
            self._figure.savefig(path, format="svg", metadata=_NO_METADATA)
