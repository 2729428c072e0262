"""Progress of one process, sampled with a simulated clock."""

import pytest

from shards.supervisor.progress_monitor import MAX_STEP_SECONDS, ProgressMonitor


def sampled(*samples: tuple[float, int, int, bool]) -> ProgressMonitor:
    """A monitor from 100 s on, with these samples: time, messages, processed, waiting."""
    monitor = ProgressMonitor(100.0)
    for now, messages, processed, waiting in samples:
        monitor.sample(now, messages, processed, waiting=waiting)
    return monitor


def test_messages_are_progress() -> None:
    assert sampled((101, 1, 0, False), (102, 2, 0, False)).stalled_seconds == 0
    assert sampled((101, 1, 0, False), (102, 1, 0, False)).silent_seconds == 1


def test_time_without_any_message_counts_from_the_start() -> None:
    assert sampled((101, 0, 0, False), (102, 0, 0, False)).stalled_seconds == 2


def test_messages_alone_are_no_progress_while_events_wait() -> None:
    stalled = sampled((101, 1, 5, True), (102, 2, 5, True), (103, 3, 5, True))
    assert (stalled.silent_seconds, stalled.idle_seconds, stalled.stalled_seconds) == (0, 2, 2)
    assert sampled((101, 1, 5, True), (102, 2, 6, True)).stalled_seconds == 0
    assert sampled((101, 1, 5, True), (102, 2, 5, False)).stalled_seconds == 0


def test_a_supervisor_that_was_stopped_itself_accuses_nobody() -> None:
    assert sampled((101, 1, 0, False), (500, 1, 0, False)).stalled_seconds == MAX_STEP_SECONDS


@pytest.mark.parametrize("waiting", [True, False])
def test_a_process_that_waits_for_the_supervisor_is_excused(waiting: bool) -> None:
    monitor = sampled((101, 0, 0, waiting), (102, 0, 0, waiting))
    monitor.excuse(103)
    assert monitor.stalled_seconds == 0
    monitor.sample(104, 0, 0, waiting=waiting)
    assert monitor.stalled_seconds == 1
