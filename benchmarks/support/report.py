"""Figures as a table and as JSON, and the command line of the benchmarks."""

import argparse
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.support.measure import Figure

_VERDICTS = {True: "met", False: "NOT MET", None: ""}


def show(figures: Sequence[Figure], title: str, *, judged: bool = True) -> None:
    """Print the table. `judged`: say for each target whether it is met."""
    table = Table(title=title)
    table.add_column("figure", no_wrap=True)
    for heading in ("value", "unit", "target", "× calibration", ""):
        table.add_column(heading, justify="left" if heading in ("", "unit") else "right")
    for before, figure in zip([None, *figures], figures, strict=False):
        if before is not None and before.section != figure.section:
            table.add_section()
        table.add_row(*_row(figure, judged=judged))
    Console(width=None if Console().is_terminal else 100).print(table)


def _row(figure: Figure, *, judged: bool) -> tuple[str, ...]:
    sign = "≥" if figure.at_least else "≤"
    return (
        figure.name,
        _number(figure.value),
        figure.unit,
        "" if figure.target is None else f"{sign} {figure.target:,g}",
        "" if figure.times_calibration is None else f"{figure.times_calibration:.2f}",
        _VERDICTS[figure.met] if judged else "",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def save(figures: Sequence[Figure], path: Path, **more: object) -> None:
    """Write a JSON file with the figures and these further members."""
    documents = [msgspec.to_builtins(figure) | {"met": figure.met} for figure in figures]
    write(path, figures=documents, **more)


def write(path: Path, **document: object) -> None:
    """Write a JSON file: the date, the machine and the commit, then these members.

    The file is replaced as a whole, so that it is complete at any time.
    """
    write_document(path, environment() | document)


def write_document(path: Path, document: Mapping[str, object]) -> None:
    """Replace a JSON file with this document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    partial.replace(path)


def environment() -> dict[str, object]:
    """The date, the machine, and the commit."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _machine() -> str:
    """Operating system, architecture, and the processor's name if the kernel gives one."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join((platform.system(), platform.machine(), *names[:1]))


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    here = Path(__file__).parent
    try:
        found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=here)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def run(
    about: str | None,
    title: str,
    results: str,
    sections: Mapping[str, Callable[[bool], list[Figure]]],
    *,
    usual: Sequence[str] = (),
) -> int:
    """Run the command line of a benchmark: measure sections, print and save their figures.

    `sections`: functions by the value of --only; their argument is whether --quick is given.
    `usual`: the sections without --only, all by default. Limits the process and its children to
    two CPUs. Returns 0, or 1 if a target is missed; --quick measures too briefly to judge.
    """
    parser = argparse.ArgumentParser(description=about)
    file = Path(__file__).parents[1] / "results" / f"{results}.json"
    parser.add_argument("--json", type=Path, default=file, help="file for the figures")
    parser.add_argument("--quick", action="store_true", help="less of each, for a first look")
    parser.add_argument(
        "--only", choices=sections, action="append", metavar="NAME", help="one section of them"
    )
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    figures: list[Figure] = []
    for name in arguments.only or usual or sections:
        figures += sections[name](arguments.quick)
    show(figures, title, judged=not arguments.quick)
    save(figures, arguments.json)
    return int(not arguments.quick and any(figure.met is False for figure in figures))
