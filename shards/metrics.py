"""The one list of metrics: names, labels, help, and where in an overview each comes from.

May live here: that list, and its text form. May not: HTTP (ops.py), and counting. docs/metrics.md
has the same table, which a test compares.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from shards.overview import Overview
from shards.timings import CHECKPOINT, LAG, PROCESSING, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "dsiem_"
Values = Mapping[tuple[str, ...], float]
"""By the values of the labels."""
Buckets = tuple[Sequence[float], Histogram]


class Metric(Struct, frozen=True):
    """A metric, without the prefix; a counter's name ends in `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    values: Callable[[Overview], Values | Buckets | None]


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
    Metric(
        "events_received_total",
        "counter",
        (),
        "Events that have arrived.",
        _one(lambda o: o.ledger.events.received),
    ),
    Metric(
        "events_total",
        "counter",
        ("outcome",),
        "What became of events, besides those that were invalid or dropped.",
        _by(_outcomes),
    ),
    Metric(
        "events_invalid_total",
        "counter",
        ("reason",),
        "Events that are no valid ones.",
        _by(lambda o: o.ledger.events.invalid),
    ),
    Metric(
        "events_dropped_total",
        "counter",
        ("reason",),
        "Events that were valid, and went nowhere.",
        _by(lambda o: o.ledger.events.dropped),
    ),
    Metric(
        "deliveries_total",
        "counter",
        ("outcome",),
        "What became of events in workers; an event for two workers is two deliveries.",
        _by(_deliveries),
    ),
    Metric(
        "deliveries_invalid_total",
        "counter",
        ("reason",),
        "Deliveries that a worker found to be no valid events.",
        _by(lambda o: o.ledger.deliveries.invalid),
    ),
    Metric(
        "deliveries_dropped_total",
        "counter",
        ("reason",),
        "Deliveries that were dropped, as when the queue to a worker is full.",
        _by_reason(("queue_full",), lambda o: o.ledger.deliveries.dropped),
    ),
    Metric(
        "deliveries_lost_total",
        "counter",
        ("reason",),
        "Deliveries that were lost with a process that died.",
        _by_reason(("worker_died", "router_died"), lambda o: o.ledger.deliveries.lost),
    ),
    Metric(
        "event_processing_seconds",
        "histogram",
        (),
        "How long a worker took for an event.",
        lambda o: (PROCESSING, o.timings.processing),
    ),
    Metric(
        "event_lag_seconds",
        "histogram",
        (),
        "From when the frontend received an event until a worker took it.",
        lambda o: (LAG, o.timings.lag),
    ),
    Metric(
        "events_late_total",
        "counter",
        (),
        "Events taken later than max-delay after they were received.",
        _one(lambda o: o.ledger.late),
    ),
    Metric(
        "queue_depth",
        "gauge",
        ("worker",),
        "Events that wait for a worker.",
        _by_worker(lambda o: (shard.queue for shard in o.shards)),
    ),
    Metric(
        "queue_capacity",
        "gauge",
        ("worker",),
        "Events that may wait for a worker; 0 is any number.",
        _by_worker(lambda o: (shard.queue_capacity for shard in o.shards)),
    ),
    Metric(
        "worker_up",
        "gauge",
        ("worker",),
        "Whether a worker runs.",
        _by_worker(lambda o: (worker.up for worker in o.workers)),
    ),
    Metric(
        "worker_restarts_total",
        "counter",
        ("worker",),
        "How often a worker was started again after it had died.",
        _by_worker(lambda o: (worker.restarts for worker in o.workers)),
    ),
    Metric("router_up", "gauge", (), "Whether the router runs.", _one(lambda o: o.router.up)),
    Metric(
        "router_restarts_total",
        "counter",
        (),
        "How often the router was started again after it had died.",
        _one(lambda o: o.router.restarts),
    ),
    Metric(
        "directives_loaded",
        "gauge",
        (),
        "Directives that events are held against.",
        _one(lambda o: o.directives),
    ),
    Metric(
        "directives_rejected",
        "gauge",
        (),
        "Directives that were left out for their faults.",
        _one(lambda o: o.rejected),
    ),
    Metric(
        "directives_active",
        "gauge",
        (),
        "Directives that have open backlogs.",
        _one(lambda o: sum(shard.active_directives for shard in o.shards)),
    ),
    Metric(
        "backlogs_active",
        "gauge",
        (),
        "Open backlogs.",
        _one(lambda o: sum(shard.backlogs for shard in o.shards)),
    ),
    Metric(
        "backlogs_opened_total",
        "counter",
        (),
        "Backlogs that an event has opened.",
        _one(lambda o: o.ledger.backlogs["opened"]),
    ),
    Metric(
        "backlogs_restored_total",
        "counter",
        (),
        "Backlogs that were taken up from disk.",
        _one(lambda o: o.ledger.backlogs["restored"]),
    ),
    Metric(
        "backlogs_closed_total",
        "counter",
        ("reason",),
        "Backlogs that are closed; interrupted ones were open in a worker when it died.",
        _by(_closed),
    ),
    Metric(
        "deliveries_rolled_back_total",
        "counter",
        (),
        "At most so many events were taken by a worker that died, since its last checkpoint.",
        _one(lambda o: o.ledger.rolled_back),
    ),
    Metric(
        "alarms_written_total",
        "counter",
        ("risk_class",),
        "Lines of the alarms file.",
        _by(lambda o: o.alarms),
    ),
    Metric(
        "matches_total",
        "counter",
        ("directive",),
        "Events that a directive has consumed; only with --metrics-per-directive.",
        _matches,
    ),
    Metric(
        "lookups_total",
        "counter",
        ("source", "result"),
        "What became of lookups; a hit is found, or cached.",
        _lookups,
    ),
    Metric(
        "lookup_breakers",
        "gauge",
        ("source", "state"),
        "Circuit breakers of workers, by state.",
        _breakers,
    ),
    Metric(
        "source_connected",
        "gauge",
        (),
        "Whether events can arrive.",
        _one(lambda o: o.connected),
    ),
    Metric(
        "nats_connected",
        "gauge",
        (),
        "Whether there is a connection to NATS.",
        _nats(lambda o: o.connected),
    ),
    Metric(
        "nats_disconnects_total",
        "counter",
        (),
        "How often a connection to NATS was lost.",
        _nats(lambda o: o.ledger.feed.lost),
    ),
    Metric(
        "nats_disconnected_seconds_total",
        "counter",
        (),
        "For how long there was no connection to NATS.",
        _nats(lambda o: o.ledger.feed.seconds_without),
    ),
    Metric(
        "nats_events_cut_total",
        "counter",
        (),
        "Events that the NATS server had for us and threw away; only with --nats-monitor.",
        _nats(lambda o: o.ledger.feed.cut),
    ),
    Metric(
        "output_writable",
        "gauge",
        (),
        "Whether alarms can be written.",
        _one(lambda o: not o.output_trouble),
    ),
    Metric(
        "output_errors_total",
        "counter",
        (),
        "How often alarms could not be written, each try counted.",
        _one(lambda o: o.output_errors),
    ),
    Metric(
        "checkpoint_seconds",
        "histogram",
        (),
        "How long a crash checkpoint of a worker took.",
        lambda o: (CHECKPOINT, o.timings.checkpoints),
    ),
    Metric(
        "checkpoint_last_timestamp_seconds",
        "gauge",
        (),
        "When the last crash checkpoint was written, of the worker where that is longest ago.",
        lambda o: {(): o.checkpoint_at} if o.checkpoint_at else None,
    ),
    Metric(
        "start_timestamp_seconds",
        "gauge",
        (),
        "When the service was started.",
        _one(lambda o: o.now - o.uptime),
    ),
    Metric(
        "config_info",
        "gauge",
        ("hash",),
        "The hash of the loaded configuration; always 1.",
        lambda o: {(o.config_hash,): 1.0},
    ),
    Metric(
        "build_info",
        "gauge",
        ("version", "python"),
        "Which program this is; always 1.",
        lambda o: {(o.version, platform.python_version()): 1.0},
    ),
)


def text(overview: Overview) -> bytes:
    """All metrics in the text form of Prometheus, version 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Collector(overview))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            values = metric.values(self._overview)
            if values is not None:
                yield _family(metric, values)


def _family(metric: Metric, values: Values | Buckets) -> Family:
    name = PREFIX + metric.name
    if isinstance(values, tuple):
        return _histogram(name, metric.help, *values)
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.kind == "counter":
        family = CounterMetricFamily(name.removesuffix("_total"), metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, about: str, bounds: Sequence[float], found: Histogram) -> Family:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, number in zip((*bounds, float("inf")), found.buckets, strict=True):
        total += number
        buckets.append((f"{bound:g}" if bound != float("inf") else "+Inf", total))
    return HistogramMetricFamily(name, about, buckets=buckets, sum_value=found.seconds)
