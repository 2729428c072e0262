"""The metrics of one moment, as plain data that nothing changes any more.

The event loop reads them, and the thread of the exporter encodes them.
"""

from typing import NamedTuple

from msgspec.structs import replace

from shards.ops.metric import PREFIX
from shards.ops.metric_samples import HistogramSample, Samples
from shards.ops.metrics import METRICS
from shards.ops.overview import Overview

_NANOSECONDS = 1e9


class ReadMetric(NamedTuple):
    """A metric with its samples; the fields are those of Metric, and `name` is the whole name."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    samples: Samples | HistogramSample


class MetricsSnapshot(NamedTuple):
    """All metrics at a time; it, and the start of the service, in nanoseconds since the epoch."""

    start: int
    time: int
    metrics: list[ReadMetric]


def read_metrics(overview: Overview) -> MetricsSnapshot:
    """The metrics of an overview, those of `/metrics`."""
    start = int((overview.now - overview.uptime) * _NANOSECONDS)
    return MetricsSnapshot(
        start,
        int(overview.now * _NANOSECONDS),
        [
            ReadMetric(PREFIX + metric.name, metric.kind, metric.labels, metric.help, copy)
            for metric in METRICS
            if (copy := _copy(metric.read_samples(overview))) is not None
        ],
    )


def _copy(samples: Samples | HistogramSample | None) -> Samples | HistogramSample | None:
    if isinstance(samples, HistogramSample):
        return samples._replace(histogram=replace(samples.histogram))
    return samples if samples is None else dict(samples)
