"""The chaos program, for a few seconds: a worker's death costs and repeats nothing."""

from pathlib import Path

import pytest

from benchmarks.chaos import Plan, run

KILLS = 4


@pytest.mark.parametrize("source", ["http", "nats"])
def test_deaths_of_workers_cost_and_repeat_no_line(source: str, tmp_path: Path) -> None:
    plan = Plan(source=source, seconds=6, rate=1000, kills=KILLS, workers=2, seed=3)
    result = run(plan, tmp_path)
    assert result.exact, (result.faults, result.verdict.faults, result.verdict.examples)
    assert len(result.kills) == KILLS
    assert result.verdict.alarms_expected > 1000
