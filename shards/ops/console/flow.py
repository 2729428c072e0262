"""The flow of events through the service: the ledger, each process, and rates of all counts."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from aiohttp import web

from shards.histograms import LAG_BOUNDS, Histogram
from shards.history import service_rows
from shards.http_server import json_response
from shards.ops.console.backend import ConsoleBackend, read_history
from shards.ops.console.parameters import Parameters
from shards.ops.overview import Overview, ShardStatus
from shards.settings.settings import Settings

RATE_SAMPLES = 6
"""Rates are averages over the last five samples, of a second each."""
_DAY_SECONDS = 86_400.0

Counts = Mapping[str, float]
"""Counts by their path in the ledger, joined with dots."""


class FlowHandlers:
    """Answers requests for the state of the service and its last day."""

    def __init__(self, backend: ConsoleBackend) -> None:
        self._backend = backend
        self._samples: deque[tuple[float, Counts]] = deque(maxlen=RATE_SAMPLES)

    def sample(self, overview: Overview) -> None:
        """Note the counts of a moment; to be called once a second."""
        self._samples.append((time.monotonic(), counts_of(overview)))

    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/flow."""
        Parameters(request)
        return json_response(200, self.document(self._backend.overview()))

    async def history(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /api/v1/flow-history."""
        parameters = Parameters(request, "since", "until", "parts", "process")
        now = time.time()
        until = min(now, parameters.number("until") or now)
        since = min(parameters.number("since") or now - _DAY_SECONDS, until)
        parts = parameters.integer("parts", 288, 1, 1000)
        process = parameters.text("process")
        found = await read_history(
            self._backend,
            lambda db: service_rows.flow_history(db, process, (since, until), parts),
        )
        return json_response(200, found)

    def document(self, overview: Overview) -> dict[str, Any]:
        """The state of the service; openapi.json describes it."""
        ledger, router = overview.ledger, overview.router
        history = self._backend.history
        warnings = list(overview.warnings)
        if history.trouble:
            warnings.append(f"the history cannot be written: {history.trouble}")
        if history.skipped:
            warnings.append(f"{history.skipped} lines of alarms are not in the history")
        return {
            "time": overview.now,
            "version": overview.version,
            "uptime_seconds": round(overview.uptime, 1),
            "ready": not overview.readiness_problems,
            "missing": overview.readiness_problems,
            "stuck": overview.liveness_problems,
            "warnings": warnings,
            "stopping": overview.stopping,
            "events_per_second": round(overview.events_per_second, 1),
            "alarms_written": overview.alarms_written,
            "source": {
                "kind": _kind_of_source(self._backend.settings),
                "connected": overview.source_connected,
                "lag": overview.stream_lag,
            },
            "router": {
                "up": router.up,
                "ready": router.ready,
                "restarts": router.restarts,
                "silent_seconds": round(router.silent_seconds, 1),
            },
            "workers": [_worker(overview, shard) for shard in overview.shards],
            "ledger": msgspec.to_builtins(ledger),
            "adds_up": ledger.adds_up,
            "rates": self._rates(),
            "output": {"trouble": overview.output_trouble, "errors": overview.output_errors},
            "checkpoint": {
                "time": overview.oldest_checkpoint_at or None,
                "troubles": overview.checkpoint_troubles,
            },
            "latency": {
                "p50": quantile(overview.timings.lag, 0.5),
                "p99": quantile(overview.timings.lag, 0.99),
            },
            "generation": overview.config_generation,
            "sequence": history.sequence,
        }

    def _rates(self) -> dict[str, float]:
        """Counts that have changed in the last seconds, per second."""
        if len(self._samples) < 2:
            return {}
        (began, before), (ended, now) = self._samples[0], self._samples[-1]
        seconds = max(0.1, ended - began)
        return {
            path: round((number - before.get(path, 0)) / seconds, 2)
            for path, number in now.items()
            if number != before.get(path, 0)
        }


def _worker(overview: Overview, shard: ShardStatus) -> dict[str, Any]:
    process = overview.workers[shard.worker]
    fields: dict[str, Any] = msgspec.to_builtins(shard)
    counts = {name: fields.pop(name) for name in ("consumed", "unmatched", "invalid")}
    return fields | {
        "counts": counts,
        "up": process.up,
        "ready": process.ready,
        "restarts": process.restarts,
        "silent_seconds": round(process.silent_seconds, 1),
        "idle_seconds": round(process.idle_seconds, 1),
        "checkpoint_trouble": overview.checkpoint_troubles.get(process.name, ""),
    }


def _kind_of_source(settings: Settings) -> str:
    if settings.mode == "cluster-backend":
        return "stream" if settings.stream else "nats"
    return "spool" if settings.spool else "http"


def counts_of(overview: Overview) -> Counts:
    """All counts of the ledger, and the lines of alarms by risk class."""
    alarms = {f"alarms.{class_}": count for class_, count in overview.alarms_written.items()}
    return dict(_flatten("", msgspec.to_builtins(overview.ledger))) | alarms


def _flatten(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def quantile(histogram: Histogram, part: float) -> float | None:
    """The upper bound of the bucket with this part of all durations below it; None if empty."""
    wanted = histogram.count * part
    if not wanted:
        return None
    seen = 0
    for bound, number in zip((*LAG_BOUNDS, LAG_BOUNDS[-1]), histogram.buckets, strict=True):
        seen += number
        if seen >= wanted:
            return bound
    return LAG_BOUNDS[-1]
