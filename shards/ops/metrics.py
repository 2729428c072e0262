"""The one list of metrics: names, labels, help, and where in an overview each comes from.

May live here: that list. May not: its text form (exposition.py), and counting. docs/metrics.md has
the same table, which a test compares.
"""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from shards.histograms import CHECKPOINT_BOUNDS, LAG_BOUNDS, PROCESSING_BOUNDS, Histogram
from shards.ops.overview import Overview

PREFIX = "dsiem_"
Values = Mapping[tuple[str, ...], float]
"""By the values of the labels."""
Buckets = tuple[Sequence[float], Histogram]
MetricReader = Callable[[Overview], Values | Buckets | None]
"""None: there is nothing of it now."""


class Metric(Struct, frozen=True):
    """A metric, without the prefix; a counter's name ends in `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    values: MetricReader


def _counter(name: str, about: str, values: MetricReader, *labels: str) -> Metric:
    return Metric(name, "counter", labels, about, values)


def _gauge(name: str, about: str, values: MetricReader, *labels: str) -> Metric:
    return Metric(name, "gauge", labels, about, values)


def _histogram(name: str, about: str, values: MetricReader) -> Metric:
    return Metric(name, "histogram", (), about, values)


def _one(value: Callable[[Overview], float]) -> Callable[[Overview], Values]:
    return lambda overview: {(): value(overview)}


def _by(value: Callable[[Overview], Mapping[str, float]]) -> Callable[[Overview], Values]:
    return lambda overview: {(name,): number for name, number in value(overview).items()}


def _by_reason(
    reasons: tuple[str, ...], value: Callable[[Overview], Mapping[str, float]]
) -> Callable[[Overview], Values]:
    """With a 0 where nothing has happened: the first increase of a series is seen by nobody."""
    zeros = dict.fromkeys(reasons, 0.0)
    return _by(lambda overview: {**zeros, **value(overview)})


def _by_worker(
    values: Callable[[Overview], Iterable[float]],
) -> Callable[[Overview], Values]:
    return lambda overview: {(str(worker),): value for worker, value in enumerate(values(overview))}


def _outcomes(overview: Overview) -> Mapping[str, float]:
    events = overview.ledger.events
    return {
        "routed": events.routed,
        "unmatched": events.unmatched,
        "elsewhere": events.elsewhere,
        "whitelisted": events.whitelisted,
    }


def _deliveries(overview: Overview) -> Mapping[str, float]:
    deliveries = overview.ledger.deliveries
    return {"consumed": deliveries.consumed, "unmatched": deliveries.unmatched}


def _lookups(overview: Overview) -> Values:
    values: dict[tuple[str, ...], float] = {}
    for source, counts in overview.ledger.lookups.items():
        results = {
            "cached": counts.cached,
            "shared": counts.shared,
            "found": counts.found,
            "nothing": counts.nothing,
            "rejected_breaker": counts.rejected_breaker,
            "rejected_full": counts.rejected_full,
            **{f"error_{reason}": number for reason, number in counts.errors.items()},
        }
        values |= {(source, result): number for result, number in results.items()}
    return values


def _breakers(overview: Overview) -> Values:
    return {
        (source, state): counts.breakers[state]
        for source, counts in overview.ledger.lookups.items()
        for state in ("closed", "half_open", "open")
    }


def _matches(overview: Overview) -> Values | None:
    if overview.matches is None:
        return None
    return {(str(directive),): number for directive, number in overview.matches.items()}


def _nats(value: Callable[[Overview], float]) -> Callable[[Overview], Values | None]:
    """Only where events come over NATS."""
    return lambda overview: {(): value(overview)} if overview.over_nats else None


def _closed(overview: Overview) -> Mapping[str, float]:
    backlogs = overview.ledger.backlogs
    return {reason: backlogs[reason] for reason in ("finished", "expired", "interrupted")}


METRICS: tuple[Metric, ...] = (
    _counter(
        "events_received_total",
        "Events that have arrived.",
        _one(lambda o: o.ledger.events.received),
    ),
    _counter(
        "events_total",
        "What became of events, besides those that were invalid or dropped.",
        _by(_outcomes),
        "outcome",
    ),
    _counter(
        "events_invalid_total",
        "Events that are no valid ones.",
        _by(lambda o: o.ledger.events.invalid),
        "reason",
    ),
    _counter(
        "events_dropped_total",
        "Events that were valid, and went nowhere.",
        _by(lambda o: o.ledger.events.dropped),
        "reason",
    ),
    _counter(
        "deliveries_total",
        "What became of events in workers; an event for two workers is two deliveries.",
        _by(_deliveries),
        "outcome",
    ),
    _counter(
        "deliveries_invalid_total",
        "Deliveries that a worker found to be no valid events.",
        _by(lambda o: o.ledger.deliveries.invalid),
        "reason",
    ),
    _counter(
        "deliveries_dropped_total",
        "Deliveries that were dropped, as when the queue to a worker is full.",
        _by_reason(("queue_full",), lambda o: o.ledger.deliveries.dropped),
        "reason",
    ),
    _counter(
        "deliveries_lost_total",
        "Deliveries that were lost with a process that died.",
        _by_reason(("worker_died", "router_died"), lambda o: o.ledger.deliveries.lost),
        "reason",
    ),
    _histogram(
        "event_processing_seconds",
        "How long a worker took for an event.",
        lambda o: (PROCESSING_BOUNDS, o.timings.processing),
    ),
    _histogram(
        "event_lag_seconds",
        "From when the frontend received an event until a worker took it.",
        lambda o: (LAG_BOUNDS, o.timings.lag),
    ),
    _counter(
        "events_late_total",
        "Events taken later than max-delay after they were received.",
        _one(lambda o: o.ledger.late),
    ),
    _gauge(
        "queue_depth",
        "Events that wait for a worker.",
        _by_worker(lambda o: (shard.queue for shard in o.shards)),
        "worker",
    ),
    _gauge(
        "queue_capacity",
        "Events that may wait for a worker; 0 is any number.",
        _by_worker(lambda o: (shard.queue_capacity for shard in o.shards)),
        "worker",
    ),
    _gauge(
        "worker_up",
        "Whether a worker runs.",
        _by_worker(lambda o: (worker.up for worker in o.workers)),
        "worker",
    ),
    _counter(
        "worker_restarts_total",
        "How often a worker was started again after it had died.",
        _by_worker(lambda o: (worker.restarts for worker in o.workers)),
        "worker",
    ),
    _gauge("router_up", "Whether the router runs.", _one(lambda o: o.router.up)),
    _counter(
        "router_restarts_total",
        "How often the router was started again after it had died.",
        _one(lambda o: o.router.restarts),
    ),
    _gauge(
        "directives_loaded",
        "Directives that events are held against.",
        _one(lambda o: o.directives),
    ),
    _gauge(
        "directives_rejected",
        "Directives that were left out for their faults.",
        _one(lambda o: o.rejected),
    ),
    _gauge(
        "directives_active",
        "Directives that have open backlogs.",
        _one(lambda o: sum(shard.active_directives for shard in o.shards)),
    ),
    _gauge(
        "backlogs_active",
        "Open backlogs.",
        _one(lambda o: sum(shard.backlogs for shard in o.shards)),
    ),
    _counter(
        "backlogs_opened_total",
        "Backlogs that an event has opened.",
        _one(lambda o: o.ledger.backlogs["opened"]),
    ),
    _counter(
        "backlogs_restored_total",
        "Backlogs that were taken up from disk.",
        _one(lambda o: o.ledger.backlogs["restored"]),
    ),
    _counter(
        "backlogs_closed_total",
        "Backlogs that are closed; interrupted ones were open in a worker when it died.",
        _by(_closed),
        "reason",
    ),
    _counter(
        "deliveries_rolled_back_total",
        "At most so many events were taken by a worker that died, since its last checkpoint.",
        _one(lambda o: o.ledger.rolled_back),
    ),
    _counter(
        "alarms_written_total", "Lines of the alarms file.", _by(lambda o: o.alarms), "risk_class"
    ),
    _counter(
        "matches_total",
        "Events that a directive has consumed; only with --metrics-per-directive.",
        _matches,
        "directive",
    ),
    _counter(
        "lookups_total",
        "What became of lookups; a hit is found, or cached.",
        _lookups,
        "source",
        "result",
    ),
    _gauge(
        "lookup_breakers", "Circuit breakers of workers, by state.", _breakers, "source", "state"
    ),
    _gauge("source_connected", "Whether events can arrive.", _one(lambda o: o.connected)),
    _gauge(
        "nats_connected", "Whether there is a connection to NATS.", _nats(lambda o: o.connected)
    ),
    _counter(
        "nats_disconnects_total",
        "How often a connection to NATS was lost.",
        _nats(lambda o: o.ledger.feed.lost),
    ),
    _counter(
        "nats_disconnected_seconds_total",
        "For how long there was no connection to NATS.",
        _nats(lambda o: o.ledger.feed.seconds_without),
    ),
    _counter(
        "nats_events_cut_total",
        "Events that the NATS server had for us and threw away; only with --nats-monitor.",
        _nats(lambda o: o.ledger.feed.cut),
    ),
    _gauge(
        "output_writable", "Whether alarms can be written.", _one(lambda o: not o.output_trouble)
    ),
    _counter(
        "output_errors_total",
        "How often alarms could not be written, each try counted.",
        _one(lambda o: o.output_errors),
    ),
    _histogram(
        "checkpoint_seconds",
        "How long a crash checkpoint of a worker took.",
        lambda o: (CHECKPOINT_BOUNDS, o.timings.checkpoints),
    ),
    _gauge(
        "checkpoint_last_timestamp_seconds",
        "When the last crash checkpoint was written, of the worker where that is longest ago.",
        lambda o: {(): o.checkpoint_at} if o.checkpoint_at else None,
    ),
    _gauge(
        "start_timestamp_seconds", "When the service was started.", _one(lambda o: o.now - o.uptime)
    ),
    _gauge(
        "config_info",
        "The hash of the loaded configuration; always 1.",
        lambda o: {(o.config_hash,): 1.0},
        "hash",
    ),
    _gauge(
        "build_info",
        "Which program this is; always 1.",
        lambda o: {(o.version, platform.python_version()): 1.0},
        "version",
        "python",
    ),
)
