"""The replay command in a process of its own, its start and files included."""

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.support import synthetic
from benchmarks.support.measure import Figure

SECTION = "replay"
_ROOT = Path(__file__).resolve().parents[2]
_DIRECTIVES = 100


def run(quick: bool) -> list[Figure]:
    """Measure the section `replay`."""
    count, repeats = (20_000, 1) if quick else (200_000, 3)
    return [
        *_figures("1 in 10 matching", 0.1, count, repeats, 80_000),
        *_figures("all matching", 1.0, count, repeats, 40_000),
    ]


def _figures(
    name: str, share: float, count: int, repeats: int, target: float
) -> tuple[Figure, Figure]:
    with TemporaryDirectory() as folder:
        _write_files(Path(folder), share, count)
        runs = [_run_replay(Path(folder), number) for number in range(repeats)]
    wall, cpu = (count / median(seconds) for seconds in zip(*runs, strict=True))
    return (
        Figure(SECTION, f"{name}, by wall clock", wall, "events/s", target, at_least=True),
        Figure(SECTION, f"{name}, by CPU time", cpu, "events/s", target, at_least=True),
    )


def _write_files(folder: Path, share: float, count: int) -> None:
    """Write the configuration and the events."""
    config = folder / "configs"
    config.mkdir()
    (config / "assets_bench.json").write_bytes(synthetic.assets())
    (config / "directives_bench.json").write_bytes(synthetic.directives(_DIRECTIVES))
    with (folder / "events.ndjson").open("wb") as file:
        for raw in synthetic.EventGenerator(11).stream(count, share):
            file.write(raw + b"\n")


def _run_replay(folder: Path, number: int) -> tuple[float, float]:
    """Wall and CPU seconds of one run."""
    logs = folder / f"logs-{number}"
    options = ["--config-dir", f"{folder}/configs", "--log-dir", f"{logs}", "--format", "json"]
    command = [sys.executable, "cli.py", "replay", *options, f"{folder}/events.ndjson"]
    cpu, wall = _children_cpu(), perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=_ROOT)
    seconds = perf_counter() - wall, _children_cpu() - cpu
    assert (logs / "siem_alarms.json").stat().st_size > 0
    return seconds


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
