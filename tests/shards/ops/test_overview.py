"""Problems of liveness and readiness in an overview."""

from typing import Any

import pytest

from shards.ops.overview import STALLED_SECONDS, STUCK_SECONDS
from tests.support.overviews import overview, process_status, reload_outcome, shard_status

HANG_TIMEOUT = 30
STUCK = {"silent_seconds": HANG_TIMEOUT + STUCK_SECONDS + 1}


def test_a_healthy_service_has_no_problems() -> None:
    healthy = overview()
    assert healthy.liveness_problems == healthy.readiness_problems == []


def test_processes_without_progress_long_after_the_hang_timeout_need_a_restart() -> None:
    stuck = overview(
        hang_timeout=HANG_TIMEOUT,
        router=process_status("router", **STUCK),
        workers=[
            process_status("worker-0", silent_seconds=HANG_TIMEOUT + STUCK_SECONDS),
            process_status("worker-1", ready=False, **STUCK),
            process_status("worker-2", idle_seconds=61.4),
            process_status("worker-3", up=False, **STUCK),
        ],
    )
    assert stuck.liveness_problems == [
        "router has not reported for 61 s",
        "worker-1 has not reported for 61 s",
        "events wait for worker-2, which took none for 61 s",
    ]


def test_without_a_hang_timeout_a_process_without_progress_needs_a_restart_sooner() -> None:
    silent = process_status("router", silent_seconds=STUCK_SECONDS + 1)
    assert overview(hang_timeout=0, router=silent).liveness_problems == [
        "router has not reported for 31 s"
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"stopping": True}, "it is stopping"),
        ({"workers": [process_status("worker-0", up=False)]}, "worker-0 is not running"),
        ({"workers": [process_status("worker-0", ready=False)]}, "worker-0 is still starting"),
        ({"router": process_status("router", up=False)}, "router is not running"),
        ({"router": process_status("router", ready=False)}, "router is still starting"),
        (
            {"router": process_status("router", silent_seconds=STALLED_SECONDS + 1)},
            "router has not reported for 11 s",
        ),
        (
            {"workers": [process_status("worker-0", idle_seconds=STALLED_SECONDS + 1)]},
            "events wait for worker-0, which took none for 11 s",
        ),
        ({"shards": [shard_status(0, has_pipe=False)]}, "the router has no data pipe to worker-0"),
        ({"source_connected": False}, "it is not listening"),
        ({"source_connected": False, "uses_nats": True}, "there is no connection to NATS"),
        ({"output_trouble": "disk full"}, "alarms cannot be written: disk full"),
    ],
)
def test_each_reason_for_not_being_ready_is_named(fields: dict[str, Any], problem: str) -> None:
    assert overview(**fields).readiness_problems == [problem]


@pytest.mark.parametrize("state", [{"up": False}, {"ready": False}])
def test_a_connection_is_expected_only_from_a_router_that_is_ready(state: dict[str, bool]) -> None:
    starting = overview(router=process_status("router", **state), source_connected=False)
    assert len(starting.readiness_problems) == 1


def test_all_problems_are_listed() -> None:
    problems = overview(
        stopping=True,
        workers=[process_status("worker-0", up=False), process_status("worker-1", up=False)],
        source_connected=False,
        output_trouble="disk full",
    ).readiness_problems
    assert problems == [
        "it is stopping",
        "worker-0 is not running",
        "worker-1 is not running",
        "it is not listening",
        "alarms cannot be written: disk full",
    ]


def test_a_failed_reload_is_a_warning_until_one_succeeds() -> None:
    failed = reload_outcome(successful=False, error="the frontend does not answer")
    of = overview(last_reload=failed)
    assert (of.warnings, of.readiness_problems) == ([failed.trouble], [])
    assert overview(last_reload=reload_outcome()).warnings == []


def test_the_configuration_is_the_newest_one_unless_a_load_has_failed() -> None:
    failed = reload_outcome(successful=False, error="the frontend does not answer")
    assert overview().is_config_newest
    assert overview(last_reload=reload_outcome()).is_config_newest
    assert not overview(last_reload=failed).is_config_newest
    assert not overview(config_trouble="an earlier download").is_config_newest
