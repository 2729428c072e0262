"""The tables: marks beside losses, and notes."""

import pytest
from msgspec.structs import replace

from benchmarks.peers import tables
from benchmarks.peers.comparison import Results
from benchmarks.peers.goals import Goal, Verdict
from benchmarks.peers.life import LifeRun
from benchmarks.peers.losses import LossRun
from benchmarks.peers.rates import RateRun
from benchmarks.peers.steady import SteadyRun


def row(printed: str, backend: str) -> list[str]:
    """The cells of the row of a backend."""
    (found,) = (line for line in printed.splitlines() if f"│ {backend} " in line)
    return [cell.strip() for cell in found.split("│")][1:-1]


def shown(capsys: pytest.CaptureFixture[str], results: Results, *verdicts: Verdict) -> str:
    tables.show(results, verdicts)
    return capsys.readouterr().out


def test_a_rate_with_losses_has_a_mark_and_the_ratio_is_to_the_better_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = RateRun("mix", 300, "ours", name="mix", sustained=9000, failed=9900, with_losses=9000)
    go = RateRun("mix", 300, "go", name="mix", sustained=100, failed=110, with_losses=900)
    lossy = RateRun("mix", 300, "rust", name="mix", failed=5, failure="1 of 9 lost", lost=1)
    runs = [ours, replace(go, lost_share=0.0021), lossy]
    printed = shown(capsys, Results({}, "defaults", complete=True, rates=runs))
    assert row(printed, "go")[2:] == ["100", "110", "", "900", "! 0.21%", "", "10.0 ×"]
    assert row(printed, "rust")[2:7] == ["! none", "5", "1 of 9 lost", "none", "0"]
    assert "interrupted" not in printed


def test_a_backend_that_does_not_keep_up_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    run = SteadyRun("steady", 1000, "go", matching=9, lines=7, lost=2, p50=3.0, p90=4.0, p99=5.0)
    printed = shown(capsys, Results({}, "defaults", steady=[run]))
    assert row(printed, "go")[2:5] == ["3.00", "4.00", "5.00"]
    assert row(printed, "go")[-2:] == ["! 2", "NO"]
    assert "interrupted: these are the runs until then" in printed


def test_start_stop_losses_goals_and_notes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    life = LifeRun(
        "life", 100, "ours", start=0.5, ready=0.6, idle_mb=70.0, note="odd", other_cores=0.5
    )
    loss = LossRun("losses", 2000, "go", victim="all", alarms=160, missing=160, without_line=4)
    missed = Verdict(Goal("life", 100, "start", 0.4), 0.5)
    results = Results({}, "defaults", life=[life], losses=[loss], failures=["rust is left out"])
    printed = shown(capsys, results, missed)
    assert row(printed, "ours") == [
        "100",
        "ours",
        "0.50",
        "0.60",
        "70.0",
        "0.0",
        "over 20: SIGKILL",
    ]
    assert row(printed, "go")[2:6] == ["160", "! 160", "0", "! 4"]
    assert "NOT MET" in printed
    assert "rust is left out" in printed
    assert "life 100, ours, 1: odd; other work on 0.5 cores" in printed
