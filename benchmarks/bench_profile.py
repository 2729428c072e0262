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

from benchmarks.cluster.nats_service import SIDS, Load, NatsService, running_service
from benchmarks.support import synthetic
from benchmarks.support.service_process import cpu_seconds

_LOADS: Mapping[str, Load] = {
    "tenth": Load(synthetic.directives(100), 120_000, 0.1, SIDS),
    "all": Load(synthetic.directives(100), 60_000, 1.0, SIDS),
    "backlogs": Load(
        synthetic.directives(1, synthetic.STAY_AT_STAGE_2), 50_000, 1.0, SIDS[:1], 5000
    ),
}
"""1 in 10 events matching; all of them; all, for one directive with 5,000 open backlogs."""
_PROFILED_KINDS = ("router", "worker", "supervisor")
_WARM_UP_SECONDS = 2.0
"""Seconds under load before the first profile."""
_PY_SPY = str(Path(sys.executable).with_name("py-spy"))
_SAMPLES_PER_SECOND = 400
_FRAME = re.compile(r"^(?P<function>.+) \((?P<file>.+):(?P<line>\d+)\)$")


class Profile(Struct, frozen=True):
    """The profile of a process.

    `cpu_cores`: cores that it used; `lock_cores`: of these, with Python's lock held. `lines`:
    number of samples by innermost frame.
    """

    kind: str
    cpu_cores: float
    lock_cores: float
    lines: Mapping[str, int]


def profile_kinds(load: Load, seconds: float) -> Iterator[Profile]:
    """The profile of one process of each kind, each taken for `seconds`, in turn."""
    total = _WARM_UP_SECONDS + (seconds + 2.0) * len(_PROFILED_KINDS)
    with running_service(load, NatsService) as (service, server, _), TemporaryDirectory() as folder:
        run = Thread(target=service.run_plan, args=(load.plan(server.port, total),))
        run.start()
        try:
            run.join(_WARM_UP_SECONDS)
            for kind in _PROFILED_KINDS:
                yield _profile(kind, service.busiest(kind), seconds, Path(folder) / kind)
        finally:
            run.join()


def _profile(kind: str, pid: int, seconds: float, file: Path) -> Profile:
    duration = (f"--duration={seconds:g}", f"--rate={_SAMPLES_PER_SECOND}")
    output = ("--gil", "--format=raw", f"--output={file}")
    command = (_PY_SPY, "record", f"--pid={pid}", *duration, *output)
    before, start = cpu_seconds(pid), time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    cpu_cores = (cpu_seconds(pid) - before) / (time.monotonic() - start)
    lines: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        lines[stack.rpartition(";")[2]] += int(count)
    return Profile(kind, cpu_cores, lines.total() / _SAMPLES_PER_SECOND / seconds, lines)


def show(title: str, profile: Profile, rows: int) -> None:
    """Print the lines with the most samples, and their share of all samples."""
    cores = f"{profile.cpu_cores:.0%} of a core, {profile.lock_cores:.0%} with Python's lock"
    table = Table(title=f"{title}, {profile.kind}: {cores}", title_justify="left")
    table.add_column("share", justify="right")
    table.add_column("line", no_wrap=True)
    table.add_column("function", no_wrap=True)
    total = sum(profile.lines.values())
    for frame, count in Counter(profile.lines).most_common(rows):
        table.add_row(f"{count / total:.1%}", *_location(frame))
    Console(width=None if Console().is_terminal else 100).print(table)


def _location(frame: str) -> tuple[str, str]:
    """File and line of a frame, and its function."""
    match = _FRAME.match(frame)
    return (f"{match['file']}:{match['line']}", match["function"]) if match else ("?", frame)


def main() -> int:
    """Profile the selected loads, and print a table for each kind of process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=_LOADS, action="append", help="one load of them")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each process: 10")
    parser.add_argument("--rows", type=int, default=20, help="lines shown for each: 20")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # all children too
    for name in arguments.only or _LOADS:
        for profile in profile_kinds(_LOADS[name], arguments.seconds):
            show(name, profile, arguments.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
