"""The end of the table of metrics: output, checkpoints, configuration and versions."""

import platform

from shards.histograms import CHECKPOINT_BOUNDS
from shards.ops.metric import Metric, counter, gauge, histogram
from shards.ops.metric_samples import HistogramSample, by_reason, single, telemetry_drops
from shards.ops.reload_outcome import RELOAD_RESULTS

SERVICE_METRICS: tuple[Metric, ...] = (
    gauge(
        "output_writable", "Whether alarms can be written.", single(lambda o: not o.output_trouble)
    ),
    counter(
        "output_errors_total", "Failed attempts to write alarms.", single(lambda o: o.output_errors)
    ),
    histogram(
        "checkpoint_seconds",
        "Time that a crash checkpoint of a worker took.",
        lambda o: HistogramSample(CHECKPOINT_BOUNDS, o.timings.checkpoints),
    ),
    gauge(
        "config_generation",
        "Number of the configuration that runs, from 1 at the start of the service.",
        single(lambda o: o.config_generation),
    ),
    gauge(
        "config_last_reload_successful",
        "Whether the configuration is the newest one; 0 after a failed reload, or with an earlier"
        " download.",
        single(lambda o: o.is_config_newest),
    ),
    gauge(
        "config_last_reload_success_timestamp_seconds",
        "Time of the last load of the configuration without a fault, also if nothing had changed.",
        single(lambda o: o.config_loaded_at),
    ),
    counter(
        "config_reloads_total",
        "Reloads of the configuration.",
        by_reason(RELOAD_RESULTS, lambda o: o.reloads),
        "result",
    ),
    counter(
        "otel_dropped_total",
        "Spans, and sets of metrics, that were not exported; only with telemetry.",
        telemetry_drops,
        "kind",
    ),
    gauge(
        "checkpoint_writable",
        "Whether all workers can write crash checkpoints.",
        single(lambda o: not o.checkpoint_troubles),
    ),
    gauge(
        "checkpoint_last_timestamp_seconds",
        "Time of the last crash checkpoint, of the worker where it is longest ago.",
        lambda o: {(): o.oldest_checkpoint_at} if o.oldest_checkpoint_at else None,
    ),
    gauge(
        "start_timestamp_seconds",
        "Time at which the service was started.",
        single(lambda o: o.now - o.uptime),
    ),
    gauge(
        "config_info",
        "Hash of the loaded configuration; always 1.",
        lambda o: {(o.config_hash,): 1.0},
        "hash",
    ),
    gauge(
        "build_info",
        "Versions of the program and of Python; always 1.",
        lambda o: {(o.version, platform.python_version()): 1.0},
        "version",
        "python",
    ),
)
