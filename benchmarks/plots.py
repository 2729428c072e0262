"""Draws the README's plots from the benchmarks' JSON files: `python benchmarks/plots.py`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec import Struct

from benchmarks.latency.percentiles import Latency
from benchmarks.plotting.canvas import STYLES, Canvas, Style
from benchmarks.plotting.series import Comparison, Dot, Line, Place, Quantity, contenders, lines

T = TypeVar("T")
_ROOT = Path(__file__).resolve().parent.parent
_PERCENTILES = (50, 90, 99, 99.9, 99.99, 99.999, 99.9999)
"""Those with a tick; 0 has no room beside 50."""
_SIZES = (1.0, 2.0, 5.0)


class PlotRequest(Struct, frozen=True):
    """A plot of compare.json, and what is on its axes."""

    name: str
    title: str
    dimension: str
    across: str
    quantity: Quantity
    up: str


WANTED = (
    PlotRequest(
        name="throughput-directives",
        title="Throughput, by the number of directives loaded",
        dimension="directives",
        across="directives loaded",
        quantity="rate",
        up="events/s",
    ),
    PlotRequest(
        name="throughput-backlogs",
        title="Throughput, by the number of open backlogs",
        dimension="backlogs",
        across="open backlogs of one directive",
        quantity="rate",
        up="events/s",
    ),
    PlotRequest(
        name="memory-directives",
        title="Memory, by the number of directives loaded",
        dimension="directives",
        across="directives loaded",
        quantity="pss_mb",
        up="memory of all processes (PSS), MB",
    ),
)
LATENCY = "latency"
NAMES = {
    "ours": "Dsiem Shards",
    "go": "Dsiem (Go)",
    "rust": "dsiem-backend (Rust)",
    "dsiem-rs": "dsiem-rs (Rust)",
}
"""Of contenders, in legends."""


class Latencies(Struct, frozen=True):
    """What there is to plot in bench_latency.json."""

    latencies: Sequence[Latency]


def compared(wanted: PlotRequest, comparison: Comparison, place: Place) -> Canvas | None:
    """A plot of compare.json; None when that has no figures for it."""
    shown = lines(comparison, wanted.dimension, wanted.quantity)
    if not any(dot.middle for line in shown for dot in line.dots):
        return None
    canvas = Canvas(wanted.title, _caption(shown, comparison, place))
    styles = dict(zip(contenders(comparison.runs), STYLES * len(shown), strict=False))
    values = sorted({dot.value for line in shown for dot in line.dots})
    canvas.across(wanted.across, {value: f"{value:,g}" for value in values})
    canvas.up(wanted.up)
    for line in shown:
        _draw(canvas, line, styles[line.contender])
    for value in values:
        _label(canvas, [dot for line in shown for dot in line.dots if dot.value == value])
    legend = {NAMES.get(line.contender, line.contender): line.contender for line in shown}
    canvas.legend({name: styles[contender] for name, contender in legend.items()})
    return canvas


def _caption(shown: Sequence[Line], comparison: Comparison, place: Place) -> list[str]:
    names = {line.contender for line in shown}
    versions = [f"{name}: {text}" for name, text in comparison.versions.items() if name in names]
    return [
        _told("Hollow, not finished: ", [line.unfinished for line in shown]),
        _told("Lost, of the events that match: ", [line.lost for line in shown]),
        "; ".join(map(_together, versions)),
        str(place),
    ]


def _told(what: str, texts: Sequence[str]) -> str:
    some = [text for text in texts if text]
    return f"{what}{'; '.join(some)}." if some else ""


def _together(text: str) -> str:
    """On one line, with spaces that do not break."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _draw(canvas: Canvas, line: Line, style: Style) -> None:
    """A line through the medians, bars from the least to the most."""
    known = {dot.value: dot.middle for dot in line.dots if dot.middle is not None}
    canvas.line(list(known), list(known.values()), style)
    for dot in line.dots:
        if dot.least is not None and dot.most is not None:
            canvas.bar(dot.value, dot.least, dot.most, style)
        canvas.dot(dot.value, dot.middle, style, hollow=not dot.finished)


def _label(canvas: Canvas, dots: Sequence[Dot]) -> None:
    """The highest with its number above, the lowest with it below: those never meet."""
    known = sorted((dot.middle for dot in dots if dot.middle is not None), reverse=True)
    for number, middle in enumerate(known):
        if number in (0, len(known) - 1):
            canvas.text(dots[0].value, middle, _short(middle), above=number == 0)


def _short(number: float) -> str:
    """Three digits of it."""
    digits = max(0, len(f"{number:.0f}") - 3)
    return f"{round(number, -digits):,.0f}" if number >= 100 else f"{number:.3g}"


def draw_latencies(latencies: Sequence[Latency], place: Place) -> Canvas | None:
    """The plot of bench_latency.json; None when that has no distribution."""
    if not latencies:
        return None
    how = "From when an event was due to be sent until its line could be read. Dot: the longest."
    canvas = Canvas("From an event to its line in the file", (how, str(place)))
    most = max(latency.lines for latency in latencies)
    marks = {_place(mark): f"{mark:g} %" for mark in _PERCENTILES if _place(mark) <= most}
    canvas.across("share of the lines", marks)
    canvas.up("milliseconds, at most", _SIZES)
    styles = dict(zip(map(_name, latencies), STYLES, strict=False))
    for latency in latencies:
        style = styles[_name(latency)]
        points = dict(_points(latency))
        canvas.line(list(points), list(points.values()), style)
        canvas.dot(latency.lines, latency.percentiles[-1].ms, style)
    canvas.legend(styles)
    return canvas


def _name(latency: Latency) -> str:
    return f"{latency.rate:,} events/s" + (f", {latency.lost:,} lost" if latency.lost else "")


def _place(percentile: float) -> float:
    """On an axis on which each further nine takes as much room: one of so many is beyond."""
    return 100 / (100 - percentile)


def _points(latency: Latency) -> Iterator[tuple[float, float]]:
    """As far as there are lines to tell percentiles apart, where the longest one is."""
    for point in latency.percentiles:
        if point.percentile < 100 and (at := _place(point.percentile)) < latency.lines:
            yield at, point.ms
    yield latency.lines, latency.percentiles[-1].ms


def draw_all(results: Path) -> Iterator[tuple[str, Canvas | None]]:
    """Each plot by its name; None where there is nothing to plot yet."""
    compare, latency = results / "compare.json", results / "bench_latency.json"
    for wanted in WANTED:
        made = compared(wanted, *_read(compare, Comparison)) if compare.exists() else None
        yield wanted.name, made
    found = _read(latency, Latencies) if latency.exists() else None
    yield LATENCY, found and draw_latencies(found[0].latencies, found[1])


def _read(path: Path, kind: type[T]) -> tuple[T, Place]:
    """What it holds, and where and when that was measured."""
    raw = path.read_bytes()
    return msgspec.json.decode(raw, type=kind), msgspec.json.decode(raw, type=Place)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what there are figures for; 1 when there are none for some plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    results, images = _ROOT / "benchmarks/results", _ROOT / "docs/images"
    parser.add_argument("--results", type=Path, default=results, help="where the JSON is")
    parser.add_argument("--images", type=Path, default=images, help="where the SVG goes")
    options = parser.parse_args(arguments)
    options.images.mkdir(parents=True, exist_ok=True)
    missing = 0
    for name, canvas in draw_all(options.results):
        path = options.images / f"{name}.svg"
        if canvas is None:
            missing += 1
            print(f"{path.name}: no figures yet")
        else:
            canvas.save(path)
            print(f"{path.name}: {path.stat().st_size:,} bytes")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
