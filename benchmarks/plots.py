"""Draws the README's plots from the benchmarks' JSON files: `python benchmarks/plots.py`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec import Struct

from benchmarks.latency.percentiles import RateLatencies
from benchmarks.plotting.canvas import STYLES, Canvas, Style
from benchmarks.plotting.series import (
    OURS,
    Comparison,
    Line,
    Point,
    Provenance,
    Topic,
    backends,
    lines,
    measured,
)

T = TypeVar("T")
_ROOT = Path(__file__).resolve().parent.parent
_TICK_PERCENTILES = (50, 90, 99, 99.9, 99.99, 99.999, 99.9999)
"""Percentiles with a tick; 0 would overlap 50."""
_TICK_MULTIPLES = (1.0, 2.0, 5.0)


class ComparisonPlot(Struct, frozen=True):
    """A plot of compare.json: the values of a topic (of the rates: of a dimension), with labels.

    `note`: for the caption.
    """

    name: str
    title: str
    topic: Topic
    x_label: str
    y_label: str
    dimension: str = ""
    note: str = ""


_RATE_NOTE = "The highest rate at which at most 1 % is lost; pale: down to that with nothing lost."
COMPARISON_PLOTS = (
    ComparisonPlot(
        name="throughput-directives",
        title="Sustained rate, by the number of directives loaded",
        topic="rates",
        dimension="directives",
        x_label="directives loaded",
        y_label="events/s",
        note=_RATE_NOTE,
    ),
    ComparisonPlot(
        name="throughput-backlogs",
        title="Sustained rate, by the number of open backlogs",
        topic="rates",
        dimension="backlogs",
        x_label="open backlogs of one directive",
        y_label="events/s",
        note=_RATE_NOTE,
    ),
    ComparisonPlot(
        name="memory-directives",
        title="Memory, by the number of directives loaded",
        topic="life",
        x_label="directives loaded",
        y_label="idle memory of all processes (PSS), MB",
    ),
    ComparisonPlot(
        name="latency-peers",
        title="From an event to its line, by the rate: 99 of 100 lines",
        topic="steady",
        x_label="events/s",
        y_label="milliseconds, at most",
        note="100 directives, 1 in 10 events matching, from when an event was due to be sent.",
    ),
)
LATENCY_PLOT = "latency"
LEGEND_NAMES = {
    "ours": "Dsiem Shards",
    "go": "Dsiem (Go)",
    "rust": "dsiem-backend (Rust)",
    "dsiem-rs": "dsiem-rs (Rust)",
}


class LatencyDocument(Struct, frozen=True):
    """The part of bench_latency.json that is plotted."""

    latencies: Sequence[RateLatencies]


def draw_comparison(
    plot: ComparisonPlot, comparison: Comparison, provenance: Provenance
) -> Canvas | None:
    """A plot of compare.json; None without figures for it."""
    runs = list(measured(comparison, plot.topic, plot.dimension))
    shown = lines(runs)
    if not any(point.median for line in shown for point in line.points):
        return None
    canvas = Canvas(plot.title, _caption(plot, shown, comparison, provenance))
    names = backends(iter([OURS, *comparison.versions, *(run.backend for run in runs)]))
    styles = dict(zip(names, STYLES * len(names), strict=False))
    values = sorted({point.value for line in shown for point in line.points})
    canvas.x_axis(plot.x_label, {value: f"{value:,g}" for value in values})
    canvas.y_axis(plot.y_label)
    for line in shown:
        _draw_line(canvas, line, styles[line.backend])
    for value in values:
        _label(canvas, [point for line in shown for point in line.points if point.value == value])
    legend = {LEGEND_NAMES.get(line.backend, line.backend): line.backend for line in shown}
    canvas.legend({name: styles[backend] for name, backend in legend.items()})
    return canvas


def _caption(
    plot: ComparisonPlot, shown: Sequence[Line], comparison: Comparison, provenance: Provenance
) -> list[str]:
    names = {line.backend for line in shown}
    versions = [f"{name}: {text}" for name, text in comparison.versions.items() if name in names]
    return [
        plot.note,
        _sentence("Hollow: ", [line.flaws for line in shown]),
        "; ".join(map(_unbreakable, versions)),
        str(provenance),
    ]


def _sentence(start: str, texts: Sequence[str]) -> str:
    """A sentence with the texts that are not empty; empty without any."""
    parts = [text for text in texts if text]
    return f"{start}{'; '.join(parts)}." if parts else ""


def _unbreakable(text: str) -> str:
    """The text with spaces at which a line does not break."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _draw_line(canvas: Canvas, line: Line, style: Style) -> None:
    """Draw a line through the medians, with a bar from minimum to maximum at each point."""
    medians = {point.value: point.median for point in line.points if point.median is not None}
    canvas.line(list(medians), list(medians.values()), style)
    for point in line.points:
        if point.minimum is not None and point.maximum is not None:
            canvas.range_bar(point.value, point.minimum, point.maximum, style)
        canvas.point(point.value, point.median, style, hollow=bool(point.flaw))


def _label(canvas: Canvas, points: Sequence[Point]) -> None:
    """Write the highest value above its point, and the lowest below: these never overlap."""
    medians = sorted((point.median for point in points if point.median is not None), reverse=True)
    for number, median in enumerate(medians):
        if number in (0, len(medians) - 1):
            canvas.text(points[0].value, median, _three_digits(median), above=number == 0)


def _three_digits(number: float) -> str:
    digits = max(0, len(f"{number:.0f}") - 3)
    return f"{round(number, -digits):,.0f}" if number >= 100 else f"{number:.3g}"


def draw_latencies(latencies: Sequence[RateLatencies], provenance: Provenance) -> Canvas | None:
    """The plot of bench_latency.json; None without latencies."""
    if not latencies:
        return None
    how = "From when an event was due to be sent until its line could be read. Dot: the longest."
    canvas = Canvas("From an event to its line in the file", (how, str(provenance)))
    most = max(latency.lines for latency in latencies)
    ticks = {_position(tick): f"{tick:g} %" for tick in _TICK_PERCENTILES}
    canvas.x_axis("share of the lines", {at: text for at, text in ticks.items() if at <= most})
    canvas.y_axis("milliseconds, at most", _TICK_MULTIPLES)
    styles = dict(zip(map(_legend_name, latencies), STYLES, strict=False))
    for latency in latencies:
        style = styles[_legend_name(latency)]
        curve = dict(_curve(latency))
        canvas.line(list(curve), list(curve.values()), style)
        canvas.point(latency.lines, latency.percentiles[-1].ms, style)
    canvas.legend(styles)
    return canvas


def _legend_name(latency: RateLatencies) -> str:
    return f"{latency.rate:,} events/s" + (f", {latency.lost:,} lost" if latency.lost else "")


def _position(percentile: float) -> float:
    """The place of a percentile on the x axis: N if 1 of N lines is slower.

    On a logarithmic axis each further nine gets the same width.
    """
    return 100 / (100 - percentile)


def _curve(latency: RateLatencies) -> Iterator[tuple[float, float]]:
    """Position and milliseconds of each percentile; the last point is the slowest line."""
    for point in latency.percentiles:
        if point.percentile < 100 and (at := _position(point.percentile)) < latency.lines:
            yield at, point.ms
    yield latency.lines, latency.percentiles[-1].ms


def draw_all(results: Path) -> Iterator[tuple[str, Canvas | None]]:
    """All plots by name; None where figures are missing."""
    compare, latency = results / "compare.json", results / "bench_latency.json"
    for plot in COMPARISON_PLOTS:
        canvas = draw_comparison(plot, *_read(compare, Comparison)) if compare.exists() else None
        yield plot.name, canvas
    if latency.exists():
        document, provenance = _read(latency, LatencyDocument)
        yield LATENCY_PLOT, draw_latencies(document.latencies, provenance)
    else:
        yield LATENCY_PLOT, None


def _read(path: Path, kind: type[T]) -> tuple[T, Provenance]:
    """The content of a JSON file, and where and when its figures were measured."""
    raw = path.read_bytes()
    return msgspec.json.decode(raw, type=kind), msgspec.json.decode(raw, type=Provenance)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the plots; returns 1 when figures for a plot are missing, else 0."""
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
