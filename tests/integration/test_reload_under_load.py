"""Many reloads in a row while events flow: each event is matched by one configuration, once.

The alarms are those of a replay in one process, with the same changes at the same events.
RELOADS=100 in the environment makes longer runs.
"""

import os
from pathlib import Path

import pytest

from tests.support.reload_load import ReloadPlan, ReloadRun, run_reloads
from tests.support.reload_service import SOURCES

RELOADS = int(os.environ.get("RELOADS", "12"))
WORKERS = ("worker-0", "worker-1")


def check(run: ReloadRun) -> None:
    """Check that nothing is wrong, and that there was something to judge."""
    assert not run.faults, run.faults
    assert run.sent_again == 0
    verdict = run.verdict
    assert run.loaded > RELOADS * 0.7
    assert verdict.versions > run.loaded * 0.8
    assert verdict.uncertain < verdict.scenarios / 20  # more of them where the machine is slow
    assert verdict.finished_after_change > 0  # few where the machine is slow
    assert verdict.removed[0] > 0
    assert verdict.whitelisted[0] > 0


@pytest.mark.parametrize("source", SOURCES)
def test_reloads_in_a_row(source: str, tmp_path: Path) -> None:
    check(run_reloads(ReloadPlan(source=source, reloads=RELOADS), tmp_path))


@pytest.mark.parametrize("source", SOURCES)
def test_reloads_while_workers_are_killed(source: str, tmp_path: Path) -> None:
    plan = ReloadPlan(source=source, reloads=RELOADS, victims=WORKERS, seed=2)
    run = run_reloads(plan, tmp_path)
    check(run)
    assert run.kills >= 2


def test_reloads_while_workers_and_the_router_of_a_stream_are_killed(tmp_path: Path) -> None:
    victims = ("router", *WORKERS)
    plan = ReloadPlan(source="stream", reloads=RELOADS, victims=victims, seed=3)
    run = run_reloads(plan, tmp_path)
    check(run)
    assert run.kills >= 2
