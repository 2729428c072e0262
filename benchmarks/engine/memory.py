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

from benchmarks.engine.engine_setup import build_correlator, process_events
from benchmarks.support import synthetic
from benchmarks.support.measure import Figure

SECTION = "memory"
_BACKLOGS = 70_000
"""More addresses than the engine's address caches hold, so that these are full. With twice as many
backlogs the hash tables are equally full, so that the growth is that of the backlogs alone."""


def run(quick: bool) -> list[Figure]:
    """Measure the sections `memory` and `load`."""
    directives = 4000 if quick else 23_500
    per_directive, seconds = _measure_in_child("directives", directives)
    ids, _ = _measure_in_child("ids", 100_000)
    remembered, _ = _measure_in_child("remembered", 100_000)
    return [
        Figure(SECTION, "an open backlog", _measure_in_child("backlogs", _BACKLOGS)[0], "B", 800),
        Figure(
            SECTION, "  title with SRC_IP, DST_IP", _measure_in_child("titled", _BACKLOGS)[0], "B"
        ),
        Figure(SECTION, "an event id kept", ids, "B", 200),
        Figure(SECTION, "an event remembered", remembered - ids, "B", 300),
        Figure(SECTION, "a directive of three rules", per_directive, "B", 10_000),
        Figure("load", f"{directives:,} directives", seconds, "s", 5.0),
    ]


def _measure_in_child(name: str, count: int) -> tuple[float, float]:
    """Measure in a new process: bytes per item, and CPU seconds of loading."""
    command = [sys.executable, __file__, name, str(count)]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    return msgspec.json.decode(output, type=tuple[float, float])


def _resident_bytes() -> int:
    """Resident set of this process in bytes (Linux)."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS in /proc/self/status")


def _bytes_per_backlog(count: int, *, tokens: bool) -> float:
    """Growth per backlog from `count` to `2 * count` backlogs, each opened by its own address."""
    correlator, generator = (
        build_correlator(synthetic.directives(1, synthetic.STAY_AT_STAGE_2, tokens), 0),
        synthetic.EventGenerator(9),
    )

    def open_backlogs(pairs: Iterable[synthetic.AddressPair]) -> None:
        for pair in pairs:
            process_events(correlator)([generator.event(synthetic.FIRST_SID, pair)])()

    open_backlogs(synthetic.address_pairs(count))
    before = _resident_bytes()
    open_backlogs(synthetic.address_pairs(count, first=count))
    growth = _resident_bytes() - before
    assert len(correlator) == 2 * count
    return growth / count


def _bytes_per_event_id(count: int, repeat_window: int) -> float:
    """Growth per event id in one backlog, which takes `count` events at stage 2."""
    correlator, generator = (
        build_correlator(synthetic.directives(1, synthetic.STAY_AT_STAGE_2), repeat_window),
        synthetic.EventGenerator(10),
    )
    (pair,) = synthetic.address_pairs(1)
    before = _resident_bytes()
    for _ in range(count):
        process_events(correlator)([generator.event(synthetic.FIRST_SID, pair)])()
    return (_resident_bytes() - before) / count


def _directive_costs(count: int) -> tuple[float, float]:
    """Growth per directive from a document to a correlator, and the CPU seconds of loading it."""
    build_correlator(synthetic.directives(1))
    document = synthetic.directives(count)
    before, start = _resident_bytes(), process_time()
    correlator = build_correlator(document)
    seconds = process_time() - start
    growth = _resident_bytes() - before
    assert len(correlator) == 0
    return growth / count, seconds


def _measure(name: str, count: int) -> tuple[float, float]:
    if name == "directives":
        return _directive_costs(count)
    if name in ("ids", "remembered"):
        return _bytes_per_event_id(count, 600 if name == "remembered" else 0), 0.0
    return _bytes_per_backlog(count, tokens=name == "titled"), 0.0


if __name__ == "__main__":
    print(msgspec.json.encode(_measure(sys.argv[1], int(sys.argv[2]))).decode())
