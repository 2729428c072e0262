"""Problems of liveness and readiness in an overview."""

from typing import Any

import pytest

from shards.ops.overview import STALLED_SECONDS
from tests.support.overviews import overview, process_status

STALLED = {"seconds_since_report": STALLED_SECONDS + 1}


def test_a_healthy_service_has_no_problems() -> None:
    healthy = overview()
    assert healthy.liveness_problems == healthy.readiness_problems == []


def test_processes_without_a_report_for_longer_than_the_limit_are_stalled() -> None:
    stalled = overview(
        router=process_status("router", **STALLED),
        workers=[
            process_status("worker-0", seconds_since_report=STALLED_SECONDS),
            process_status("worker-1", **STALLED),
        ],
    )
    assert stalled.liveness_problems == [
        "router has not reported for 31 s",
        "worker-1 has not reported for 31 s",
    ]
    assert stalled.readiness_problems == []


@pytest.mark.parametrize("state", [{"up": False, "ready": False}, {"ready": False}])
def test_a_process_that_is_down_or_starting_is_not_stalled(state: dict[str, bool]) -> None:
    starting = process_status("worker-0", **STALLED, **state)
    assert overview(workers=[starting]).liveness_problems == []


def test_no_process_is_stalled_while_alarms_cannot_be_written() -> None:
    stalled = process_status("worker-0", **STALLED)
    assert overview(workers=[stalled], output_trouble="disk full").liveness_problems == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"stopping": True}, "it is stopping"),
        ({"workers": [process_status("worker-0", up=False)]}, "worker-0 is not running"),
        ({"workers": [process_status("worker-0", ready=False)]}, "worker-0 is still starting"),
        ({"router": process_status("router", up=False)}, "router is not running"),
        ({"router": process_status("router", ready=False)}, "router is still starting"),
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
