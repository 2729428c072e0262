"""Bytes per open backlog, event id and directive: growth of the resident set of a new process.

Each figure comes from a process of its own, `memory.py NAME COUNT`, which prints the bytes per item
and the CPU seconds of loading.
"""

import gc
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from benchmarks.engine.loaded import correlator, feeding
from benchmarks.engine.per_event import LONG
from benchmarks.support import workload
from benchmarks.support.measure import Figure

SECTION = "memory"
_REMEMBERED = 70_000
"""More addresses than are remembered: after so many, the caches grow no more. Twice as many fill
the tables of backlogs to the same degree, so the growth is that of one backlog on average."""


def run(quick: bool) -> list[Figure]:
    """The figures of this section."""
    directives = 4000 if quick else 23_500
    per_directive, seconds = _child("directives", directives)
    return [
        Figure(SECTION, "an open backlog", _child("backlogs", _REMEMBERED)[0], "B", 800),
        Figure(SECTION, "  title with SRC_IP, DST_IP", _child("titled", _REMEMBERED)[0], "B"),
        Figure(SECTION, "an event id kept", _child("ids", 100_000)[0], "B", 200),
        Figure(SECTION, "a directive of three rules", per_directive, "B", 10_000),
        Figure("load", f"{directives:,} directives", seconds, "s", 5.0),
    ]


def _child(name: str, count: int) -> tuple[float, float]:
    """Bytes per item, and the CPU seconds that the items took, as the child says."""
    command = [sys.executable, __file__, name, str(count)]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    return msgspec.json.decode(output, type=tuple[float, float])


def _resident() -> int:
    """Bytes of memory that this process occupies now (Linux)."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS in /proc/self/status")


def _opened(count: int, *, tokens: bool) -> float:
    """From so many open backlogs to twice as many, each opened by an address of its own."""
    shard, maker = correlator(workload.directives(1, LONG, tokens)), workload.EventMaker(9)

    def open_for(pairs: Iterable[workload.Pair]) -> None:
        for pair in pairs:
            feeding(shard)([maker.event(workload.FIRST_SID, pair)])()

    open_for(workload.pairs(count))
    before = _resident()
    open_for(workload.pairs(count, first=count))
    grown = _resident() - before
    assert len(shard) == 2 * count
    return grown / count


def _kept_ids(count: int) -> float:
    """One backlog that takes all events, none of which finishes a stage."""
    shard, maker = correlator(workload.directives(1, LONG)), workload.EventMaker(10)
    (pair,) = workload.pairs(1)
    before = _resident()
    for _ in range(count):
        feeding(shard)([maker.event(workload.FIRST_SID, pair)])()
    return (_resident() - before) / count


def _loaded(count: int) -> tuple[float, float]:
    """From the bytes of a document to a correlator; then the document is let go."""
    correlator(workload.directives(1))
    document = workload.directives(count)
    before, start = _resident(), process_time()
    shard = correlator(document)
    seconds = process_time() - start
    grown = _resident() - before
    assert len(shard) == 0
    return grown / count, seconds


def _measured(name: str, count: int) -> tuple[float, float]:
    if name == "directives":
        return _loaded(count)
    if name == "ids":
        return _kept_ids(count), 0.0
    return _opened(count, tokens=name == "titled"), 0.0


if __name__ == "__main__":
    print(msgspec.json.encode(_measured(sys.argv[1], int(sys.argv[2]))).decode())
