"""Processes die around a reload: then one configuration runs, and backlogs keep their rules."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.reload_load import ReloadPlan, run_reloads
from tests.support.reload_pool import variant
from tests.support.reload_service import ReloadableService
from tests.support.reload_traffic import scenario_event
from tests.support.serving import (
    NumberedEvents,
    counting_directive,
    directives_of,
    wait_until,
)

FIRST, SECOND = directives_of(0, 2)[0], directives_of(1, 2)[0]
LARGE = 3000
"""Directives, so that a loader takes some time."""


@pytest.mark.parametrize("within", [0.01, 0.04, 0.4])
@pytest.mark.parametrize("source", ["http", "stream"])
def test_a_worker_dies_at_any_moment_of_a_reload(
    source: str, within: float, tmp_path: Path
) -> None:
    victims = ("worker-0", "worker-1")
    plan = ReloadPlan(
        source=source,
        reloads=8,
        victims=victims,
        kill_every=1,
        kill_within=within,
        faulty_every=100,
        seed=round(1000 * within),
    )
    run = run_reloads(plan, tmp_path)
    assert not run.faults, run.faults
    assert run.kills == 6
    assert run.loaded == 9


def test_the_loader_of_a_folder_is_killed_and_the_next_reload_works(tmp_path: Path) -> None:
    with ReloadableService(tmp_path, "http") as reloadable:
        many = [variant(id_, 0) for id_ in range(1, LARGE)]
        reloadable.put_directives(*many)
        service = reloadable.start()
        failed = 0
        for number in range(1, 5):
            many[FIRST - 1] = variant(FIRST, number)
            reloadable.put_directives(*many)
            loader, request = reloadable.begin_reload()
            time.sleep(0.01 * (number - 1))  # the moment of its death
            with suppress(ProcessLookupError):  # it has ended before
                os.kill(loader, signal.SIGKILL)
            answer = request.answer()
            has_failed = answer.status != 200
            failed += has_failed
            assert (answer.status, answer.generation) == (
                (503, number) if has_failed else (200, number + 1)
            )
            reloadable.send_and_wait(scenario_event(number, FIRST, 1, number - has_failed))
            assert reloadable.ops.reload().generation == number + 1
        assert failed
        assert service.stop().code == 0


def finished(reloadable: ReloadableService) -> set[str]:
    """The titles of the alarms that have finished, without their addresses."""
    return {
        alarm["title"].rpartition(",")[0]
        for alarm in reloadable.service.alarms()
        if all(rule.get("status") == "finished" for rule in alarm["rules"])
    }


@pytest.mark.parametrize("source", ["stream", "spool"])
def test_all_die_right_after_a_reload(source: str, tmp_path: Path) -> None:
    """Backlogs that were opened before it and after it finish by the rules of their time."""
    with ReloadableService(tmp_path, source) as reloadable:
        reloadable.put_directives(variant(FIRST, 0), variant(SECOND, 0))
        reloadable.start()
        reloadable.send_and_wait(*(scenario_event(n, FIRST, 1, 0) for n in range(1, 11)))
        reloadable.send_and_wait(*(scenario_event(n, SECOND, 1, 0) for n in range(11, 21)))
        time.sleep(2.5)  # there is a checkpoint
        reloadable.put_directives(variant(FIRST, 2), variant(SECOND, 3))
        assert reloadable.ops.reload().generation == 2
        reloadable.kill_all()
        reloadable.start()
        reloadable.send_and_wait(*(scenario_event(n, FIRST, 1, 2) for n in range(21, 31)))
        for step in (2, 3):
            reloadable.send_and_wait(
                *(scenario_event(n, FIRST, step, 0) for n in range(1, 11)),
                *(scenario_event(n, SECOND, step, 0) for n in range(11, 21)),
                *(scenario_event(n, FIRST, step, 2) for n in range(21, 31)),
            )
        ended = reloadable.service.stop()
        assert ended.code == 0
        ended.ledger.check()
        assert ended.ledger["backlogs_finished"] == 30
        assert finished(reloadable) == {
            f"directive {FIRST}, variant 0",
            f"directive {SECOND}, variant 0",
            f"directive {FIRST}, variant 2",
        }
        ids = reloadable.service.event_ids()
        assert len(ids) == len(set(ids)) == 90


@pytest.mark.parametrize("source", ["stream", "spool"])
def test_all_die_again_and_again_while_events_flow(source: str, tmp_path: Path) -> None:
    """Each event is of a directive that never changes, and causes one line."""
    first, second, changing = *directives_of(0, 2, 1), *directives_of(1, 2, 2)
    unchanged = [counting_directive(first), counting_directive(second)]
    events, sent = NumberedEvents(first, second), 0
    with ReloadableService(tmp_path, source) as reloadable:
        reloadable.put_directives(*unchanged, variant(changing, 0))
        reloadable.start()
        for number in range(1, 5):
            for _ in range(10):
                reloadable.send(*events.take(100))
                sent += 100
            reloadable.put_directives(*unchanged, variant(changing, number))
            assert reloadable.ops.reload().ids("changed") == [changing]
            reloadable.kill_all()
            reloadable.start()
        wait_until(lambda: reloadable.service.lines() >= sent, f"{sent} lines")
        assert reloadable.service.stop().code == 0
        ids = reloadable.service.event_ids()
        assert len(ids) == len(set(ids)) == sent
