"""Runs in the JSON file, and which of them are followed by more events."""

from typing import Any

import msgspec
import pytest

from benchmarks.peers.backend import OURS, Backend
from benchmarks.peers.backend_run import Run, RunLimits, _further_events
from benchmarks.plotting.series import Run as PlottedRun

LIMITS = RunLimits(20_000, 5.0, 120.0)
PEER = Backend("go")


def run(**figures: Any) -> Run:
    return Run("directives", 10, "ours", 1, **figures)


@pytest.mark.parametrize(
    ("backend", "rate", "seconds", "finished", "events"),
    [
        (Backend(OURS), 100_000.0, 0.2, True, 500_000),
        (Backend(OURS), 300_000.0, 0.1, True, 1_000_000),
        (PEER, 100_000.0, 0.2, True, 60_000),
        (PEER, 1000.0, 2.0, True, 20_000),
        (PEER, 1000.0, 3.1, True, 0),
        (PEER, 100_000.0, 0.2, False, 0),
    ],
)
def test_after_a_short_run_more_events_follow(
    backend: Backend, rate: float, seconds: float, finished: bool, events: int
) -> None:
    first = run(rate=rate, seconds=seconds, finished=finished)
    assert _further_events(backend, first, LIMITS) == events


def test_the_plots_read_what_a_comparison_writes() -> None:
    written = msgspec.json.encode(run(rate=7.0, pss_mb=3.0, lost=2, note="x", other_cores=0.1))
    assert msgspec.json.decode(written)["contender"] == "ours"
    assert msgspec.json.decode(written)["others"] == 0.1
    read = msgspec.json.decode(written, type=PlottedRun)
    assert (read.backend, read.rate, read.pss_mb, read.lost) == ("ours", 7.0, 3.0, 2)
