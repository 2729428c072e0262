"""The summary of a comparison: medians, ratios, goals, and the table."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from benchmarks.peers.backend import OURS
from benchmarks.peers.backend_run import Run
from benchmarks.peers.workloads import Workload

_GOAL_PEER = "go"
"""The peer that the goals are for."""
_SPEED_GOALS: Mapping[tuple[str, int], float] = {
    ("directives", 10): 8,
    ("directives", 100): 30,
    ("directives", 1000): 350,
    ("backlogs", 5000): 900,
}
"""Minimum of our rate divided by that of the peer, by dimension and value."""
_MEMORY_GOALS: Mapping[tuple[str, int], float] = {("directives", 1000): 0.1}
"""Maximum of our memory divided by that of the peer."""
_BUSY_CORES = 0.2
"""Cores of other work above which a run should be repeated."""


class Ratio(Struct, frozen=True):
    """Our figure divided by that of a peer: the median and the range of runs in turns.

    `judged`: the runs were long enough to compare them with the goal.
    """

    value: float
    least: float
    most: float
    goal: float | None = None
    at_least: bool = True
    judged: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None or not self.judged:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


class ComparisonRow(Struct, frozen=True):
    """The runs of a backend on a workload, and for a peer the ratios to ours."""

    workload: Workload
    backend: str
    runs: Sequence[Run]
    speed: Ratio | None
    memory: Ratio | None

    @property
    def missed(self) -> bool:
        """Whether a goal is missed."""
        return any(ratio is not None and ratio.met is False for ratio in (self.speed, self.memory))


def summarize(
    workloads: Sequence[Workload], runs: Sequence[Run], judged: bool
) -> list[ComparisonRow]:
    """A row for each backend on each workload, in the order of the runs."""
    return [
        _row(workload, name, [run for run in runs if _belongs(run, workload)], judged)
        for workload in workloads
        for name in dict.fromkeys(run.backend for run in runs if _belongs(run, workload))
    ]


def _belongs(run: Run, workload: Workload) -> bool:
    """Whether a run is on this workload."""
    return (run.dimension, run.value) == (workload.dimension, workload.value)


def _row(workload: Workload, name: str, runs: Sequence[Run], judged: bool) -> ComparisonRow:
    backend_runs = [run for run in runs if run.backend == name]
    ours = {run.repeat: run for run in runs if run.backend == OURS}
    pairs = [(ours[run.repeat], run) for run in backend_runs if run.repeat in ours and name != OURS]
    key = (workload.dimension, workload.value)
    goals, memory_goals = (_SPEED_GOALS, _MEMORY_GOALS) if name == _GOAL_PEER else ({}, {})
    speed = _ratio([(our.rate, run.rate) for our, run in pairs])
    memory = _ratio([(our.pss_mb, run.pss_mb) for our, run in pairs])
    return ComparisonRow(
        workload,
        name,
        backend_runs,
        speed and replace(speed, goal=goals.get(key), judged=judged),
        memory and replace(memory, goal=memory_goals.get(key), at_least=False, judged=judged),
    )


def _ratio(pairs: Sequence[tuple[float, float]]) -> Ratio | None:
    ratios = [our / peer for our, peer in pairs if peer]
    return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None


def show(rows: Sequence[ComparisonRow], cores: int) -> None:
    """Print the table, and below it the notes on single runs."""
    table = Table(title=f"dsiem-shards and its peers, {cores} cores")
    table.add_column("workload", no_wrap=True)
    table.add_column("backend", no_wrap=True)
    headings = ("events/s", "CPU µs", "MB", "alarm events", "alarms", "lost", "ours is", "goal")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None and before.workload != row.workload:
            table.add_section()
        first = before is None or before.workload != row.workload
        for cells in _cells(row, first):
            table.add_row(*cells)
    console = Console(width=None if Console().is_terminal else 170, highlight=False)
    console.print(table)
    console.print(
        "events/s: ~ not finished within the limit, the rate until then. "
        "ours is: median, and least to most, of runs in turns."
    )
    for row in rows:
        for run in row.runs:
            if note := _note(run):
                line = f"  {row.workload.name}, {row.backend}, {run.repeat}: {note}"
                console.print(line, markup=False, soft_wrap=True)


def _note(run: Run) -> str:
    busy = f"other work on {run.other_cores:.1f} cores" if run.other_cores > _BUSY_CORES else ""
    return "; ".join(text for text in (run.note, busy) if text)


def _cells(row: ComparisonRow, first: bool) -> Iterator[tuple[str, ...]]:
    """The lines of a row: its figures, and a second line for a goal of memory."""
    runs = row.runs
    sign = "" if all(run.finished for run in runs) else "~"
    figures = (
        sign + _number(median(run.rate for run in runs)),
        _number(median(run.cpu_micros for run in runs)),
        _number(median(run.pss_mb for run in runs)),
        _number(median(run.alarm_events for run in runs)),
        _number(median(run.alarms for run in runs)),
        _number(median(run.lost for run in runs)) if not sign else "–",
    )
    start = (row.workload.name if first else "", row.backend, *figures)
    yield (*start, *_ratio_cells(row.speed, "faster"))
    if row.memory is not None and row.memory.goal is not None:
        yield (*[""] * 8, *_ratio_cells(row.memory, "the memory"))


def _ratio_cells(ratio: Ratio | None, what: str) -> tuple[str, str, str]:
    if ratio is None:
        return "", "", ""
    text = f"{_number(ratio.value)} × {what}"
    if ratio.most > ratio.least:
        text += f" ({_number(ratio.least)}–{_number(ratio.most)})"
    if ratio.goal is None:
        return text, "", ""
    return (
        text,
        f"{'≥' if ratio.at_least else '≤'} {ratio.goal:g} ×",
        {True: "met", False: "NOT MET", None: ""}[ratio.met],
    )


def _number(value: float) -> str:
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
