"""The tables of a comparison, one for each topic, and the notes on single runs."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks.peers.backend import OURS
from benchmarks.peers.comparison import Results
from benchmarks.peers.goals import Verdict
from benchmarks.peers.life import LifeRun
from benchmarks.peers.losses import LossRun
from benchmarks.peers.rates import RateRun
from benchmarks.peers.record import Record
from benchmarks.peers.steady import SteadyRun

R = TypeVar("R", bound=Record)
_BUSY_CORES = 0.2
"""Cores of other work above which a run should be repeated."""
_WIDTH = 150
_LOSES = "[bold red]![/] "
_FIGURES = {
    "sustained": "sustained rate",
    "p50": "p50, ms",
    "p99": "p99, ms",
    "cores": "CPU",
    "start": "start, s",
    "idle_mb": "idle, MB",
    "missing": "alarms missing",
    "without_line": "events without a line",
}


def show(results: Results, verdicts: Sequence[Verdict] = ()) -> None:
    """Print the tables of all topics that have runs; `verdicts`: on the goals."""
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False)
    if not results.complete:
        console.print("interrupted: these are the runs until then")
    for table in _tables(results, verdicts):
        console.print(table)
    runs: list[Record] = [*results.rates, *results.steady, *results.life, *results.losses]
    for text in (*results.failures, *filter(None, map(_note, runs))):
        console.print(f"  {text}", markup=False, soft_wrap=True)


def _tables(results: Results, verdicts: Sequence[Verdict]) -> Iterator[Table]:
    if results.rates:
        yield _rates(results.rates, results.queues)
    if results.steady:
        yield _steady(results.steady)
    if results.life:
        yield _life(results.life)
    if results.losses:
        yield _losses(results.losses)
    if verdicts:
        yield _goals(verdicts)


def _rates(runs: Sequence[RateRun], queues: str) -> Table:
    """`ours is`: our rate, by the one that the peer reaches if its losses are forgiven."""
    table = _table(
        f"Sustained rates, queues: {queues}",
        (
            *("workload", "backend", "nothing lost", "not at", "where"),
            *("1 % may be lost", "lost", "CPU µs", "ours is"),
        ),
        left=("workload", "backend", "where"),
    )
    ours: dict[str, float] = {}
    for name, backend, repeats in _groups(table, runs, lambda run: run.name):
        rate = median(run.sustained for run in repeats)
        with_losses = median(run.with_losses for run in repeats)
        ours.setdefault(repeats[0].name, rate)
        worst = max(repeats, key=lambda run: run.lost)
        share = max(run.lost_share for run in repeats)
        cpu = [run.cpu_micros for run in repeats if run.cpu_micros is not None]
        ratio = ours[repeats[0].name] / with_losses if with_losses and backend != OURS else 0
        table.add_row(
            name,
            backend,
            f"{rate:,.0f}" if rate else _LOSES + "none",
            f"{median(run.failed for run in repeats):,.0f}" if worst.failed else "",
            worst.failure or worst.note,
            f"{with_losses:,.0f}" if with_losses else "none",
            f"{_LOSES}{share:.2%}" if share else "0",
            _number(median(cpu)) if cpu else "",
            f"{_number(ratio)} ×" if ratio else "",
        )
    return table


def _steady(runs: Sequence[SteadyRun]) -> Table:
    table = _table(
        "Steady rates: from the time when an event was due until its line could be read",
        ("events/s", "backend", "p50 ms", "p90 ms", "p99 ms", "CPU %", "MB", "lost", "keeps up"),
        left=("backend", "keeps up"),
    )
    for name, backend, repeats in _groups(table, runs, lambda run: f"{run.value:,}"):
        timed = [run for run in repeats if run.p50 is not None]
        kept_up = all(run.kept_up for run in repeats)
        lost = max(run.lost for run in repeats)
        pending = max(run.pending for run in repeats)
        percentiles = (
            _number(median(getattr(run, at) for run in timed)) if timed else ""
            for at in ("p50", "p90", "p99")
        )
        table.add_row(
            name,
            backend,
            *percentiles,
            f"{median(run.cores for run in repeats) * 100:.1f}",
            _number(median(run.mb for run in repeats)),
            _LOSES + f"{lost:,}" if lost else "0",
            "yes" if kept_up else f"NO{f', {pending:,} lines missing' if pending else ''}",
        )
    return table


def _life(runs: Sequence[LifeRun]) -> Table:
    table = _table(
        "Start, idle, stop",
        (
            "directives",
            "backend",
            "subscribed s",
            "first line s",
            "idle MB",
            "idle CPU %",
            "stop s",
        ),
        left=("backend",),
    )
    for name, backend, repeats in _groups(table, runs, lambda run: f"{run.value:,}"):
        stops = [run.stop for run in repeats]
        ended = [stop for stop in stops if stop is not None]
        table.add_row(
            name,
            backend,
            f"{median(run.start for run in repeats):.2f}",
            f"{median(run.ready for run in repeats):.2f}",
            _number(median(run.idle_mb for run in repeats)),
            f"{median(run.idle_cores for run in repeats) * 100:.1f}",
            f"{median(ended):.2f}" if len(ended) == len(stops) else "over 20: SIGKILL",
        )
    return table


def _losses(runs: Sequence[LossRun]) -> Table:
    table = _table(
        f"SIGKILL in a steady run of {runs[0].value:,} events/s",
        (
            *("killed", "backend", "alarms due", "missing", "events that match"),
            *("without a line", "lines twice", "back after s"),
        ),
        left=("killed", "backend"),
    )
    for name, backend, repeats in _groups(table, runs, lambda run: run.victim):
        missing = max(run.missing for run in repeats)
        without = max(run.without_line for run in repeats)
        back = [run.back for run in repeats if run.back is not None]
        table.add_row(
            name,
            backend,
            f"{repeats[0].alarms:,}",
            _LOSES + f"{missing:,}" if missing else "0",
            f"{repeats[0].matching:,}",
            _LOSES + f"{without:,}" if without else "0",
            f"{max(run.repeated for run in repeats):,}",
            f"{median(back):.2f}" if back else "",
        )
    return table


def _goals(verdicts: Sequence[Verdict]) -> Table:
    table = _table(
        "Goals",
        ("of", "figure", "beside", "reached", "goal", ""),
        left=("of", "figure", "beside", ""),
    )
    for verdict in verdicts:
        goal = verdict.goal
        unit = " ×" if goal.peer else ""
        sign = "≥" if goal.at_least else "≤"
        table.add_row(
            f"{goal.dimension} {goal.victim or f'{goal.value:,}'}",
            _FIGURES[goal.figure],
            goal.peer or "",
            f"{_number(verdict.reached)}{unit}",
            f"{sign} {goal.limit:g}{unit}",
            "met" if verdict.met else "[bold red]NOT MET[/]",
        )
    return table


def _table(title: str, headings: Sequence[str], left: Sequence[str]) -> Table:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    return table


def _groups(
    table: Table, runs: Sequence[R], name: Callable[[R], str]
) -> Iterator[tuple[str, str, list[R]]]:
    """The repeats of each backend, in sections of the table; the name is at the first of them."""
    for section in dict.fromkeys(map(name, runs)):
        of_section = [run for run in runs if name(run) == section]
        table.add_section()
        shown = section
        for backend in sorted(dict.fromkeys(run.backend for run in of_section), key=OURS.__ne__):
            yield shown, backend, [run for run in of_section if run.backend == backend]
            shown = ""


def _note(run: Record) -> str:
    """What was unusual in a run; may be empty."""
    busy = f"other work on {run.other_cores:.1f} cores" if run.other_cores > _BUSY_CORES else ""
    if not (text := "; ".join(filter(None, (run.note, busy)))):
        return ""
    what = (
        getattr(run, "name", "") or getattr(run, "victim", "") or f"{run.dimension} {run.value:,}"
    )
    return f"{what}, {run.backend}, {run.repeat}: {text}"


def _number(value: float) -> str:
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
