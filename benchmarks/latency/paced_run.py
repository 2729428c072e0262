"""A run of evenly spaced events, with the latency of each line."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.cluster.publisher_process import PublisherProcess
from benchmarks.latency.paced_publisher import PacedPlan
from benchmarks.support.service_process import FileTail

T = TypeVar("T")


class PacedPublisherProcess(PublisherProcess):
    """A process that publishes evenly spaced events."""

    SCRIPT = "benchmarks/latency/paced_publisher.py"


def run_paced(
    plan: PacedPlan, alarm_events: Path, observe: Callable[[PublisherProcess], tuple[float, T]]
) -> tuple[T, list[float]]:
    """Publish a plan, and time its lines in this file.

    `observe` starts the publisher and waits for the lines; it returns the time at which event 0 was
    due, on the monotonic clock, and a result. Returns the result, and the latencies in seconds.
    """
    result, timed = run_timed(plan, alarm_events, observe)
    return result, [latency for _, latency in timed]


def run_timed(
    plan: PacedPlan, alarm_events: Path, observe: Callable[[PublisherProcess], tuple[float, T]]
) -> tuple[T, list[tuple[float, float]]]:
    """As run_paced; before each latency is the time at which its event was due."""
    with PacedPublisherProcess(plan) as publisher, FileTail(alarm_events) as tail:
        start, result = observe(publisher)
    timed = []
    for event_id, at in tail.seen_at.items():
        if event_id.startswith(plan.id_prefix):
            due = start + plan.due_time(event_id)
            timed.append((due, at - due))
    return result, timed
