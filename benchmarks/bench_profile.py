"""A profile of router and worker under load: `python benchmarks/bench_profile.py`.

The sampling profiler py-spy observes the processes of a service in cluster-backend mode, one after
the other. It samples the thread that holds Python's lock: waiting and the kernel do not count, C
code counts for the line that calls it. py-spy must be allowed to trace other processes: as root, or
with CAP_SYS_PTRACE.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.cluster.nats_service import Load, NatsService, serving
from benchmarks.engine.per_event import LONG
from benchmarks.support import workload
from benchmarks.support.service_process import cpu_seconds

_FOUR = tuple(workload.FIRST_SID + directive - 1 for directive in (1, 2, 3, 9))
_LOADS: Mapping[str, Load] = {
    "tenth": Load(workload.directives(100), 120_000, 0.1, _FOUR),
    "all": Load(workload.directives(100), 60_000, 1.0, _FOUR),
    "backlogs": Load(workload.directives(1, LONG), 50_000, 1.0, _FOUR[:1], 5000),
}
"""1 in 10 events matching; all of them; all, for one directive with 5,000 open backlogs."""
_PROFILED = ("router", "worker", "supervisor")
_WARM = 2.0
"""Seconds under load before the first look."""
_PY_SPY = str(Path(sys.executable).with_name("py-spy"))
_RATE = 400
"""Samples a second."""
_FRAME = re.compile(r"^(?P<function>.+) \((?P<file>.+):(?P<line>\d+)\)$")


class Profile(Struct, frozen=True):
    """Of a process: cores that it used, those of them with Python's lock held, and for what.

    `lines`: how often the innermost frame was at each.
    """

    kind: str
    used: float
    locked: float
    lines: Mapping[str, int]


def profiled(load: Load, seconds: float) -> Iterator[Profile]:
    """The profile of each kind of process, taken for so many seconds one after the other."""
    lasting = _WARM + (seconds + 2.0) * len(_PROFILED)
    with serving(load, NatsService) as (service, server, _), TemporaryDirectory() as folder:
        publishing = Thread(target=service.under, args=(load.plan(server.port, lasting),))
        publishing.start()
        try:
            publishing.join(_WARM)
            for kind in _PROFILED:
                yield _profile(kind, service.busiest(kind), seconds, Path(folder) / kind)
        finally:
            publishing.join()


def _profile(kind: str, pid: int, seconds: float, file: Path) -> Profile:
    command = [_PY_SPY, "record", f"--pid={pid}", f"--duration={seconds:g}", f"--rate={_RATE}"]
    before, start = cpu_seconds(pid), time.monotonic()
    subprocess.run(
        [*command, "--gil", "--format=raw", f"--output={file}"], check=True, capture_output=True
    )
    used = (cpu_seconds(pid) - before) / (time.monotonic() - start)
    lines: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        lines[stack.rpartition(";")[2]] += int(count)
    return Profile(kind, used, lines.total() / _RATE / seconds, lines)


def show(title: str, profile: Profile, rows: int) -> None:
    """Print the lines at which most samples were taken, and what part of all that is."""
    cores = f"{profile.used:.0%} of a core, {profile.locked:.0%} with Python's lock"
    table = Table(title=f"{title}, {profile.kind}: {cores}", title_justify="left")
    table.add_column("share", justify="right")
    table.add_column("line", no_wrap=True)
    table.add_column("function", no_wrap=True)
    every = sum(profile.lines.values())
    for frame, count in Counter(profile.lines).most_common(rows):
        table.add_row(f"{count / every:.1%}", *_place(frame))
    Console(width=None if Console().is_terminal else 100).print(table)


def _place(frame: str) -> tuple[str, str]:
    """The file and line of a frame, and its function."""
    found = _FRAME.match(frame)
    return (f"{found['file']}:{found['line']}", found["function"]) if found else ("?", frame)


def main() -> int:
    """Profile the loads asked for, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=_LOADS, action="append", help="one load of them")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each process: 10")
    parser.add_argument("--rows", type=int, default=20, help="lines shown for each: 20")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # all children too
    for name in arguments.only or _LOADS:
        for profile in profiled(_LOADS[name], arguments.seconds):
            show(name, profile, arguments.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
