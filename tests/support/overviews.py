"""Overviews of a service with one worker, for tests of health, metrics and status."""

from collections import Counter
from typing import Any

from engine.directive_counts import DirectiveCounts
from shards.histograms import Timings
from shards.ledger import Ledger, LookupCounts
from shards.ops.live_stats import LiveStats
from shards.ops.overview import Overview, ProcessStatus, ShardStatus
from shards.ops.reload_outcome import ReloadOutcome

FAULT: dict[str, Any] = {
    "file": "directives_a.json",
    "line": 3,
    "column": 7,
    "severity": "fault",
    "code": "out-of-range",
    "directive": 7,
    "stage": None,
    "field": "priority",
    "message": "is 9, must be a whole number from 1 to 5",
    "text": "directives_a.json:3:7: error out-of-range: directive 7, priority: is 9, must be …",
}
LINT = FAULT | {
    "severity": "lint",
    "code": "always-low",
    "text": "directives_a.json:3:7: lint always-low: directive 7: …",
}


def process_status(name: str, **fields: Any) -> ProcessStatus:
    """A process that runs and has just reported, unless `fields` says otherwise."""
    defaults = {
        "up": True,
        "ready": True,
        "restarts": 0,
        "silent_seconds": 0.0,
        "idle_seconds": 0.0,
    }
    return ProcessStatus(name=name, **defaults | fields)


def shard_status(worker: int, **fields: Any) -> ShardStatus:
    """A shard without load, unless `fields` says otherwise."""
    defaults = {
        "directives": 3,
        "active_directives": 0,
        "backlogs": 0,
        "queue": 0,
        "queue_capacity": 100,
        "events_per_second": 0.0,
        "has_pipe": True,
    }
    return ShardStatus(worker=worker, **defaults | fields)


def reload_outcome(**fields: Any) -> ReloadOutcome:
    """A reload by SIGHUP that has changed nothing, unless `fields` says otherwise."""
    defaults: dict[str, Any] = {
        "generation": 1,
        "successful": True,
        "trigger": "SIGHUP",
        "at": 1_700_000_030.5,
        "milliseconds": 41,
    }
    return ReloadOutcome(**defaults | fields)


def live_stats() -> LiveStats:
    """Directive 7 has consumed 5 events, and directive 8 is loaded too."""
    stats = LiveStats()
    stats.use([7, 8], ())
    stats.add({7: DirectiveCounts(5, 2, 1, {"High": 1})})
    return stats


def overview(**fields: Any) -> Overview:
    """A healthy service that has received nothing, unless `fields` says otherwise."""
    defaults: dict[str, Any] = {
        "version": "1.2.3",
        "now": 1_700_000_060.0,
        "uptime": 60.0,
        "settings": {},
        "hang_timeout": 30,
        "config_hash": "abc",
        "config_trouble": "",
        "config_files": {"assets_a.json": ("assets", 2), "directives_a.json": ("directives", 3)},
        "config_generation": 1,
        "config_loaded_at": 1_700_000_000.0,
        "last_reload": None,
        "reloads": {},
        "directives": 3,
        "rejected_directives": 0,
        "ledger": Ledger(),
        "timings": Timings(),
        "alarms_written": {"Low": 0, "Medium": 0, "High": 0},
        "stats": None,
        "events_per_second": 0.0,
        "router": process_status("router"),
        "workers": [process_status("worker-0")],
        "shards": [shard_status(0)],
        "uses_nats": False,
        "source_connected": True,
        "stream_lag": None,
        "output_trouble": "",
        "output_errors": 0,
        "oldest_checkpoint_at": 0.0,
        "checkpoint_troubles": {},
        "stopping": False,
        "latest_alarms": (),
    }
    return Overview(**defaults | fields)


def overview_with_all_metrics() -> Overview:
    """An overview that has samples of every metric."""
    ledger = Ledger()
    ledger.events.invalid["no_time"] = 1
    ledger.events.dropped["stopping"] = 1
    ledger.invalid_fields["bad_address:src_ip"] = 1
    ledger.repaired["title"] = 1
    ledger.capped["src_ips"] = 1
    ledger.deliveries.invalid["no_time"] = 1
    breakers = Counter({"open": 1})
    ledger.lookups["Wise"] = LookupCounts(asked=2, found=2, breakers=breakers)
    nats = {"uses_nats": True, "stream_lag": 3, "otel_dropped": {"span": 1, "metrics": 0}}
    return overview(ledger=ledger, stats=live_stats(), oldest_checkpoint_at=1.7e9, **nats)
