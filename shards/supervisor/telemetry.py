"""Runs the export of traces and metrics beside the other parts of the supervisor."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext

from loguru import logger

from shards.ipc.messages import SpanReport
from shards.ops.overview import Overview
from shards.periodic import run_every
from shards.settings.otlp_endpoint import OtlpEndpoint
from shards.settings.settings import Settings
from shards.telemetry.exporter import Exporter
from shards.telemetry.snapshot import read_metrics
from shards.version import version

CLOSE_SECONDS = 1.0
"""Longest time for which a stop waits for the collector."""


class Telemetry:
    """The telemetry of one service."""

    def __init__(self, settings: Settings, endpoint: OtlpEndpoint) -> None:
        """HttpClientError if the endpoint's URL is none."""
        self._interval = settings.otel_interval if settings.otel_metrics_enabled else 0
        self._exporter = Exporter(endpoint, _resource(settings))

    @property
    def dropped(self) -> Mapping[str, int]:
        """What was not exported, by kind; it is kept up to date."""
        return self._exporter.dropped

    def take_spans(self, process: str, report: SpanReport) -> None:
        """A process has reported spans."""
        self._exporter.add_spans(process, report.spans, report.dropped)

    @asynccontextmanager
    async def running(self, overview: Callable[[], Overview]) -> AsyncIterator[None]:
        """Export the metrics while the context is active, and all that is left at its end."""

        def export_metrics() -> None:
            self._exporter.add_metrics(read_metrics(overview()))

        try:
            async with (
                run_every(self._interval, export_metrics) if self._interval else nullcontext()
            ):
                yield
            if self._interval:
                export_metrics()
        finally:
            await asyncio.to_thread(self._exporter.close, CLOSE_SECONDS)
            if any(self.dropped.values()):
                logger.bind(**self.dropped).info("not all telemetry was exported")


def _resource(settings: Settings) -> dict[str, str]:
    """The attributes of the service; those that share a node name have numbers."""
    node = settings.node or socket.gethostname()
    part = f"-{settings.cluster_part}" if settings.cluster_size > 1 else ""
    return {
        "service.name": "dsiem-shards",
        "service.version": version(),
        "service.instance.id": f"{node}{part}",
    }
