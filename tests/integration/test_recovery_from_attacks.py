"""The program of attacks, for some of them."""

from pathlib import Path

from benchmarks.recovery import run_attacks


def test_a_service_recovers_from_attacks(tmp_path: Path) -> None:
    result = run_attacks(tmp_path, seconds=25, seed=4)
    assert result.faults == []
    assert sum(map(len, result.recoveries.values())) >= 2
