"""The chaos program, for a few seconds: what must never be wrong, whatever is killed."""

from pathlib import Path

import pytest

from benchmarks.exactly_once.chaos_run import ChaosPlan, run_chaos

KILLS = 4


@pytest.mark.parametrize(
    ("source", "victim"),
    [("http", "worker"), ("nats", "worker"), ("http", "supervisor")],
)
def test_deaths_cost_and_repeat_no_more_than_is_promised(
    source: str, victim: str, tmp_path: Path
) -> None:
    plan = ChaosPlan(
        source=source, seconds=6, rate=1000, kills=KILLS, victims={victim: 1}, workers=2, seed=3
    )
    result = run_chaos(plan, tmp_path)
    assert result.as_promised, (result.faults, result.verdict.faults, result.verdict.examples)
    assert [kill.kind for kill in result.kills] == [victim] * KILLS
    assert result.verdict.alarms_expected > 1000
