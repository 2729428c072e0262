"""The table of metrics: names, labels, help texts, and the reader of each one's samples.

A test compares it with the table in docs/metrics.md. Here are those of events and correlation.
"""

from shards.histograms import LAG_BOUNDS, PROCESSING_BOUNDS
from shards.ops.metric import Metric, counter, gauge, histogram
from shards.ops.metric_samples import (
    HistogramSample,
    breaker_states,
    by_label,
    by_reason,
    by_two_labels,
    by_worker,
    closed_backlogs,
    delivery_outcomes,
    directive_matches,
    event_outcomes,
    lookup_results,
    single,
    single_if_nats,
    single_if_stream,
)
from shards.ops.service_metrics import SERVICE_METRICS

METRICS: tuple[Metric, ...] = (
    counter(
        "events_received_total", "Events received.", single(lambda o: o.ledger.events.received)
    ),
    counter(
        "events_total",
        "Events by outcome, other than invalid and dropped ones.",
        by_label(event_outcomes),
        "outcome",
    ),
    counter(
        "events_invalid_total",
        "Events that are invalid.",
        by_label(lambda o: o.ledger.events.invalid),
        "reason",
    ),
    counter(
        "invalid_fields_total",
        "Invalid events and deliveries by the field that is wrong, if one is.",
        by_two_labels(lambda o: o.ledger.invalid_fields),
        "reason",
        "field",
    ),
    counter(
        "repaired_total",
        "Deliveries of events with a field that was damaged or could not be used.",
        by_label(lambda o: o.ledger.repaired),
        "field",
    ),
    counter(
        "alarm_items_capped_total",
        "Addresses, custom data and hits above a thousand of an alarm; repeats, alarms and "
        "cool-downs above a million.",
        by_label(lambda o: o.ledger.capped),
        "field",
    ),
    counter(
        "events_from_future_total",
        "Events that were too far ahead of the clock, and got its time.",
        single(lambda o: o.ledger.from_future),
    ),
    counter(
        "event_ids_reused_total",
        "Events taken whose event_id an event with other content had before.",
        single(lambda o: o.ledger.id_reused),
    ),
    counter(
        "events_dropped_total",
        "Valid events that no worker got, since the queue of one was full; their sender was told.",
        by_reason(("queue_full",), lambda o: o.ledger.events.dropped),
        "reason",
    ),
    counter(
        "deliveries_total",
        "Events processed by workers, by outcome; an event for two workers is two deliveries.",
        by_label(delivery_outcomes),
        "outcome",
    ),
    counter(
        "deliveries_invalid_total",
        "Deliveries that a worker found to be invalid events.",
        by_label(lambda o: o.ledger.deliveries.invalid),
        "reason",
    ),
    counter(
        "deliveries_dropped_total",
        "Deliveries of events from NATS that were dropped, since the queue of a worker was full.",
        by_reason(("queue_full",), lambda o: o.ledger.deliveries.dropped),
        "reason",
    ),
    counter(
        "deliveries_lost_total",
        "Deliveries that were lost with a process that died.",
        by_reason(("worker_died", "router_died"), lambda o: o.ledger.deliveries.lost),
        "reason",
    ),
    histogram(
        "event_processing_seconds",
        "Time that a worker took for an event.",
        lambda o: HistogramSample(PROCESSING_BOUNDS, o.timings.processing),
    ),
    histogram(
        "event_lag_seconds",
        "Time from the receipt of an event by the frontend until a worker took it.",
        lambda o: HistogramSample(LAG_BOUNDS, o.timings.lag),
    ),
    counter(
        "events_late_total",
        "Events taken later than max-delay after they were received.",
        single(lambda o: o.ledger.late),
    ),
    gauge(
        "queue_depth",
        "Events that wait for a worker.",
        by_worker(lambda o: (shard.queue for shard in o.shards)),
        "worker",
    ),
    gauge(
        "queue_capacity",
        "Events that can wait for a worker; 0 is unbounded.",
        by_worker(lambda o: (shard.queue_capacity for shard in o.shards)),
        "worker",
    ),
    gauge(
        "worker_up",
        "Whether a worker runs.",
        by_worker(lambda o: (worker.up for worker in o.workers)),
        "worker",
    ),
    counter(
        "worker_restarts_total",
        "Restarts of a worker after it died.",
        by_worker(lambda o: (worker.restarts for worker in o.workers)),
        "worker",
    ),
    gauge("router_up", "Whether the router runs.", single(lambda o: o.router.up)),
    counter(
        "router_restarts_total",
        "Restarts of the router after it died.",
        single(lambda o: o.router.restarts),
    ),
    gauge("directives_loaded", "Directives that are loaded.", single(lambda o: o.directives)),
    gauge(
        "directives_rejected",
        "Directives that were left out because of errors.",
        single(lambda o: o.rejected_directives),
    ),
    gauge(
        "directives_active",
        "Directives that have open backlogs.",
        single(lambda o: sum(shard.active_directives for shard in o.shards)),
    ),
    gauge(
        "backlogs_active",
        "Open backlogs.",
        single(lambda o: sum(shard.backlogs for shard in o.shards)),
    ),
    counter(
        "backlogs_opened_total",
        "Backlogs opened by an event.",
        single(lambda o: o.ledger.backlogs["opened"]),
    ),
    counter(
        "backlogs_restored_total",
        "Backlogs restored from disk.",
        single(lambda o: o.ledger.backlogs["restored"]),
    ),
    counter(
        "backlogs_closed_total",
        "Backlogs closed; removed ones with their directive, by a reload; interrupted ones were "
        "open in a worker when it died.",
        by_label(closed_backlogs),
        "reason",
    ),
    counter(
        "deliveries_redelivered_total",
        "Deliveries given again to a worker that was started again.",
        single(lambda o: o.ledger.deliveries.redelivered),
    ),
    counter(
        "deliveries_rolled_back_total",
        "Deliveries consumed after the last checkpoint of a worker that died, and not given again;"
        " an upper bound.",
        single(lambda o: o.ledger.rolled_back),
    ),
    counter(
        "alarms_written_total",
        "Lines written to the alarms file.",
        by_label(lambda o: o.alarms_written),
        "risk_class",
    ),
    counter(
        "alarms_outdated_total",
        "Lines not written, since an earlier one of the alarm had more finished stages.",
        single(lambda o: o.ledger.outdated),
    ),
    counter(
        "matches_total",
        "Events that a directive has consumed; only with --metrics-per-directive.",
        directive_matches,
        "directive",
    ),
    counter(
        "lookups_total",
        "Lookups by result; those with hits are among found and cached.",
        lookup_results,
        "source",
        "result",
    ),
    gauge(
        "lookup_breakers",
        "Circuit breakers of workers, by state.",
        breaker_states,
        "source",
        "state",
    ),
    gauge("source_connected", "Whether events can arrive.", single(lambda o: o.source_connected)),
    gauge(
        "nats_connected", "Whether NATS is connected.", single_if_nats(lambda o: o.source_connected)
    ),
    counter(
        "nats_disconnects_total",
        "Lost connections to NATS.",
        single_if_nats(lambda o: o.ledger.feed.lost),
    ),
    counter(
        "nats_disconnected_seconds_total",
        "Time without a connection to NATS.",
        single_if_nats(lambda o: o.ledger.feed.seconds_without),
    ),
    counter(
        "nats_events_cut_total",
        "Events that the NATS server discarded for this client; only with --nats-monitor.",
        single_if_nats(lambda o: o.ledger.feed.cut),
    ),
    gauge(
        "stream_lag",
        "Messages of the stream that have not been read.",
        single_if_stream(lambda o: o.stream_lag or 0),
    ),
    counter(
        "stream_expired_total",
        "Messages that the limits of the stream removed before they were read.",
        single_if_stream(lambda o: o.ledger.feed.expired),
    ),
    counter(
        "http_bodies_cut_total",
        "Posted bodies whose rest was refused, since too many of their events were refused.",
        single(lambda o: o.ledger.feed.bodies_cut),
    ),
    *SERVICE_METRICS,
)
