"""Formats the metrics of an overview in the text format of Prometheus."""

from collections.abc import Iterator
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector

from shards.ops.metric import PREFIX, Metric
from shards.ops.metric_samples import HistogramSample, Samples
from shards.ops.metrics import METRICS
from shards.ops.overview import Overview

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def prometheus_text(overview: Overview) -> bytes:
    """All metrics in the text format of Prometheus, version 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_OverviewCollector(overview))
    return generate_latest(registry)


class _OverviewCollector(Collector):
    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def collect(self) -> Iterator[MetricFamily]:
        for metric in METRICS:
            samples = metric.read_samples(self._overview)
            if isinstance(samples, HistogramSample):
                yield _histogram_family(metric, samples)
            elif samples is not None:
                yield _family(metric, samples)


def _family(metric: Metric, samples: Samples) -> MetricFamily:
    name = PREFIX + metric.name
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.kind == "counter":
        family = CounterMetricFamily(name.removesuffix("_total"), metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family


def _histogram_family(metric: Metric, sample: HistogramSample) -> MetricFamily:
    """Buckets of Prometheus are cumulative: each counts all durations up to its bound."""
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*sample.bounds, inf), sample.histogram.buckets, strict=True):
        total += count
        buckets.append(("+Inf" if bound == inf else f"{bound:g}", total))
    seconds = sample.histogram.seconds
    return HistogramMetricFamily(
        PREFIX + metric.name, metric.help, buckets=buckets, sum_value=seconds
    )
