"""The summary of a comparison: medians, ratios, goals, and the table."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from benchmarks.peers.peer import OURS
from benchmarks.peers.peer_run import Run
from benchmarks.peers.workloads import Workload

_AGAINST = "go"
"""The peer that the goals are for."""
_GOALS: Mapping[tuple[str, int], float] = {
    ("directives", 10): 8,
    ("directives", 100): 30,
    ("directives", 1000): 350,
    ("backlogs", 5000): 900,
}
"""How many times as fast as that peer, at least."""
_MEMORY_GOALS: Mapping[tuple[str, int], float] = {("directives", 1000): 0.1}
"""What part of its memory, at most."""
_LIVELY = 0.2
"""Cores of other work with which a run is better done again."""


class Ratio(Struct, frozen=True):
    """Ours to a peer's, of runs in turns: the median, and the range.

    `judged`: whether they were the runs that the goal is for.
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
    """A contender on a site."""

    site: Workload
    contender: str
    runs: Sequence[Run]
    speed: Ratio | None
    memory: Ratio | None

    @property
    def missed(self) -> bool:
        """Whether a goal is."""
        return any(ratio is not None and ratio.met is False for ratio in (self.speed, self.memory))


def summarize(sites: Sequence[Workload], runs: Sequence[Run], judged: bool) -> list[ComparisonRow]:
    """Of each contender on each site, in the order of the runs."""
    return [
        _standing(site, name, [run for run in runs if _of(run, site)], judged)
        for site in sites
        for name in dict.fromkeys(run.contender for run in runs if _of(run, site))
    ]


def _of(run: Run, site: Workload) -> bool:
    return (run.dimension, run.value) == (site.dimension, site.value)


def _standing(site: Workload, name: str, runs: Sequence[Run], judged: bool) -> ComparisonRow:
    mine = [run for run in runs if run.contender == name]
    ours = {run.repeat: run for run in runs if run.contender == OURS}
    pairs = [(ours[run.repeat], run) for run in mine if run.repeat in ours and name != OURS]
    key = (site.dimension, site.value)
    goals, parts = (_GOALS, _MEMORY_GOALS) if name == _AGAINST else ({}, {})
    speed = _ratio([(our.rate, run.rate) for our, run in pairs])
    memory = _ratio([(our.pss_mb, run.pss_mb) for our, run in pairs])
    return ComparisonRow(
        site,
        name,
        mine,
        speed and replace(speed, goal=goals.get(key), judged=judged),
        memory and replace(memory, goal=parts.get(key), at_least=False, judged=judged),
    )


def _ratio(pairs: Sequence[tuple[float, float]]) -> Ratio | None:
    found = [our / peer for our, peer in pairs if peer]
    return Ratio(median(found), min(found), max(found)) if found else None


def show(found: Sequence[ComparisonRow], cores: int) -> None:
    """Print the table, and below it what is to be known of single runs."""
    table = Table(title=f"dsiem-shards and its peers, {cores} cores")
    table.add_column("workload", no_wrap=True)
    table.add_column("contender", no_wrap=True)
    headings = ("events/s", "CPU µs", "MB", "alarm events", "alarms", "lost", "ours is", "goal")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for before, one in zip([None, *found], found, strict=False):
        if before is not None and before.site != one.site:
            table.add_section()
        first = before is None or before.site != one.site
        for row in _rows(one, first):
            table.add_row(*row)
    console = Console(width=None if Console().is_terminal else 170, highlight=False)
    console.print(table)
    console.print(
        "events/s: ~ not finished within the limit, the rate until then. "
        "ours is: median, and least to most, of runs in turns."
    )
    for one in found:
        for run in one.runs:
            if note := _remark(run):
                line = f"  {one.site.name}, {one.contender}, {run.repeat}: {note}"
                console.print(line, markup=False, soft_wrap=True)


def _remark(run: Run) -> str:
    busy = f"other work on {run.others:.1f} cores" if run.others > _LIVELY else ""
    return "; ".join(text for text in (run.note, busy) if text)


def _rows(one: ComparisonRow, first: bool) -> Iterator[tuple[str, ...]]:
    runs = one.runs
    sign = "" if all(run.finished for run in runs) else "~"
    figures = (
        sign + _number(median(run.rate for run in runs)),
        _number(median(run.cpu_micros for run in runs)),
        _number(median(run.pss_mb for run in runs)),
        _number(median(run.alarm_events for run in runs)),
        _number(median(run.alarms for run in runs)),
        _number(median(run.lost for run in runs)) if not sign else "–",
    )
    start = (one.site.name if first else "", one.contender, *figures)
    yield (*start, *_judged(one.speed, "faster"))
    if one.memory is not None and one.memory.goal is not None:
        yield (*[""] * 8, *_judged(one.memory, "the memory"))


def _judged(ratio: Ratio | None, what: str) -> tuple[str, str, str]:
    if ratio is None:
        return "", "", ""
    spread = f" ({_number(ratio.least)}–{_number(ratio.most)})" if ratio.most > ratio.least else ""
    text = f"{_number(ratio.value)} × {what}{spread}"
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
