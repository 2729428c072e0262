"""The status document: an overview as JSON, for programs and for `top`.

May live here: its form, which others may rely on. May not: HTTP, and terminals.
"""

from pathlib import Path
from typing import Any

import msgspec

from shards.ops.overview import Overview


def status_document(overview: Overview) -> dict[str, Any]:
    """All of it as plain data; secrets are left out of settings. The newest alarm comes first."""
    processes = {process.name: process for process in (overview.router, *overview.workers)}
    shards = [
        msgspec.to_builtins(shard)
        | _process(processes[f"worker-{shard.worker}"])
        | {"silent_seconds": round(processes[f"worker-{shard.worker}"].silent, 1)}
        for shard in overview.shards
    ]
    return {
        "version": overview.version,
        "time": overview.now,
        "uptime_seconds": round(overview.uptime, 1),
        "ready": not overview.missing,
        "missing": overview.missing,
        "stuck": overview.stuck,
        "events_per_second": round(overview.events_per_second, 1),
        "config": {
            "hash": overview.config_hash,
            "directives": overview.directives,
            "rejected": overview.rejected,
        },
        "router": _process(overview.router) | {"connected": overview.connected},
        "shards": shards,
        "output": {"trouble": overview.output_trouble, "errors": overview.output_errors},
        "checkpoint": {"time": overview.checkpoint_at},
        "ledger": msgspec.to_builtins(overview.ledger) | {"adds_up": overview.ledger.adds_up},
        "settings": {name: _plain(value) for name, value in overview.settings.items()},
        "alarms": [msgspec.Raw(line) for line in reversed(overview.latest)],
    }


def _process(process: Any) -> dict[str, Any]:
    return {"up": process.up, "ready": process.ready, "restarts": process.restarts}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
