"""The ratios of a comparison, and whether its goals are met."""

from typing import Any

import pytest

from benchmarks.peers import summary
from benchmarks.peers.backend_run import Run
from benchmarks.peers.workloads import Workload

WORKLOAD = Workload("directives", 1000, "1,000 directives")


def run(backend: str, rate: float, repeat: int = 1, **more: Any) -> Run:
    figures = {"rate": rate, "pss_mb": 100.0, "finished": True} | more
    return Run("directives", 1000, backend, repeat, **figures)


def peer_row(*runs: Run, judged: bool = True) -> summary.ComparisonRow:
    """The row of the peer, which follows that of this project."""
    _, row = summary.summarize([WORKLOAD], runs, judged)
    return row


def test_a_ratio_is_the_median_of_runs_of_the_same_repeat() -> None:
    pairs = [(4000.0, 10.0), (9000.0, 10.0), (8000.0, 20.0)]
    runs = [
        run(name, rate, repeat)
        for repeat, rates in enumerate(pairs, 1)
        for name, rate in zip(("ours", "go"), rates, strict=True)
    ]
    speed = peer_row(*runs).speed
    assert speed is not None
    assert (speed.value, speed.least, speed.most) == (400, 400, 900)
    assert speed.met


@pytest.mark.parametrize(
    ("rate", "memory", "judged", "missed"),
    [
        (3500.0, 10.0, True, False),
        (3400.0, 10.0, True, True),
        (3500.0, 11.0, True, True),
        (3400.0, 11.0, False, False),
    ],
)
def test_goals_of_speed_and_memory(rate: float, memory: float, judged: bool, missed: bool) -> None:
    row = peer_row(run("ours", rate, pss_mb=memory), run("go", 10.0), judged=judged)
    assert row.missed is missed


def test_other_peers_have_no_goals() -> None:
    row = peer_row(run("ours", 1.0), run("rust", 10.0))
    assert row.speed is not None
    assert row.speed.goal is None
    assert not row.missed


def test_a_peer_that_measured_nothing_has_no_ratio() -> None:
    assert peer_row(run("ours", 1.0), run("go", 0.0)).speed is None


def test_the_table_marks_unfinished_runs_and_prints_notes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [run("ours", 4000.0), run("go", 10.0, finished=False, note="it ended")]
    busy = run("ours", 4000.0, repeat=2, other_cores=0.5)
    summary.show(summary.summarize([WORKLOAD], [*runs, busy], judged=True), 2)
    printed = capsys.readouterr().out
    assert "~10.0" in printed
    assert "1,000 directives, go, 1: it ended" in printed
    assert "1,000 directives, ours, 2: other work on 0.5 cores" in printed
