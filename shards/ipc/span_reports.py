"""Reports of the spans of a router or worker to the supervisor.

A file of its own: they are sent only if tracing is on, and none of the other reports waits for
them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shards.ipc.control import ControlChannel
from shards.ipc.messages import SpanReport
from shards.periodic import run_every
from shards.tracing.span import SpanBuffer

REPORT_SECONDS = 0.5


@asynccontextmanager
async def reporting_spans(control: ControlChannel, spans: SpanBuffer | None) -> AsyncIterator[None]:
    """Report the spans of the buffer while the context is active, and at its end; None: nothing.

    While the supervisor does not read, they stay in the buffer.
    """
    if spans is None:
        yield
        return

    def report() -> None:
        if spans and control.has_room:
            control.send(SpanReport(*spans.take()))

    async with run_every(REPORT_SECONDS, report):
        yield
    report()
