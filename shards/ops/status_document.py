"""The document of /status: an overview as JSON, for programs and for the `top` command."""

from pathlib import Path
from typing import Any

import msgspec

from shards.ops.overview import Overview, ProcessStatus


def status_document(overview: Overview) -> dict[str, Any]:
    """The overview as values that JSON can hold; the newest alarm comes first.

    Other programs rely on the keys.
    """
    shards = []
    for shard in overview.shards:
        process = overview.workers[shard.worker]
        silent = {"silent_seconds": round(process.silent_seconds, 1)}
        shards.append(msgspec.to_builtins(shard) | _process_fields(process) | silent)
    return {
        "version": overview.version,
        "time": overview.now,
        "uptime_seconds": round(overview.uptime, 1),
        "ready": not overview.readiness_problems,
        "missing": overview.readiness_problems,
        "stuck": overview.liveness_problems,
        "warnings": overview.warnings,
        "events_per_second": round(overview.events_per_second, 1),
        "config": {
            "hash": overview.config_hash,
            "generation": overview.config_generation,
            "time": overview.config_loaded_at,
            "directives": overview.directives,
            "rejected": overview.rejected_directives,
            "last_reload": overview.last_reload.document() if overview.last_reload else None,
        },
        "router": _process_fields(overview.router) | {"connected": overview.source_connected},
        "stream": None if overview.stream_lag is None else {"lag": overview.stream_lag},
        "shards": shards,
        "output": {"trouble": overview.output_trouble, "errors": overview.output_errors},
        "matches": overview.matches,
        "stats": overview.stats and overview.stats.as_document(overview.ledger.events.unmatched),
        "checkpoint": {"time": overview.oldest_checkpoint_at},
        "ledger": msgspec.to_builtins(overview.ledger) | {"adds_up": overview.ledger.adds_up},
        "settings": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in overview.settings.items()
        },
        "alarms": [msgspec.Raw(line) for line in reversed(overview.latest_alarms)],
    }


def _process_fields(process: ProcessStatus) -> dict[str, Any]:
    return {"up": process.up, "ready": process.ready, "restarts": process.restarts}
