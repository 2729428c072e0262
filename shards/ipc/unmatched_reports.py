"""Reports of the signatures of unmatched events from the router to the supervisor.

A file of its own, and short: they are sent only if they are wanted, and rarely.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shards.ipc.control import ControlChannel
from shards.ipc.messages import UnmatchedReport
from shards.periodic import run_every
from shards.unmatched_events import UnmatchedEvents

REPORT_SECONDS = 2.0


@asynccontextmanager
async def reporting_unmatched(
    control: ControlChannel, unmatched: UnmatchedEvents | None
) -> AsyncIterator[None]:
    """Report the most frequent signatures so far while the context is active; None: nothing."""
    if unmatched is None:
        yield
        return

    def report() -> None:
        if control.has_room:
            control.send(UnmatchedReport(unmatched.short_report()))

    async with run_every(REPORT_SECONDS, report):
        yield
    report()
