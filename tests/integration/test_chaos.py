"""The chaos program, for a few seconds: what must never be wrong, whatever is killed."""

from pathlib import Path

import pytest

from benchmarks.exactly_once.chaos_run import ChaosPlan, run_chaos

KILLS = 4


@pytest.mark.parametrize(
    ("source", "victims"),
    [
        ("http", ["worker"]),
        ("nats", ["worker"]),
        ("http", ["supervisor"]),
        ("stream", ["resize", "nats", "router", "reload"]),
        ("spool", ["resize", "supervisor", "router", "reload"]),
    ],
)
def test_deaths_cost_and_repeat_no_more_than_is_promised(
    source: str, victims: list[str], tmp_path: Path
) -> None:
    weights = dict.fromkeys(victims, 1.0)
    plan = ChaosPlan(
        source=source, seconds=6, rate=1000, kills=KILLS, victims=weights, workers=2, seed=390
    )
    result = run_chaos(plan, tmp_path)
    assert result.as_promised, (result.faults, result.verdict.faults, result.verdict.examples)
    assert len(result.kills) == KILLS
    assert {kill.kind for kill in result.kills} == set(victims)
    assert result.verdict.alarms_expected > 1000
    assert bool(result.permitted) == (victims == ["supervisor"])
