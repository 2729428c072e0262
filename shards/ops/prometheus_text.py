"""Metrics in the text form of Prometheus.

May live here: that form. May not: which metrics there are (metrics.py), and HTTP (ops.py).
"""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from shards.histograms import Histogram
from shards.ops.metrics import METRICS, PREFIX, Buckets, Metric, Values
from shards.ops.overview import Overview

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def prometheus_text(overview: Overview) -> bytes:
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
        return _buckets(name, metric.help, *values)
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.kind == "counter":
        family = CounterMetricFamily(name.removesuffix("_total"), metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _buckets(name: str, about: str, bounds: Sequence[float], found: Histogram) -> Family:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, number in zip((*bounds, float("inf")), found.buckets, strict=True):
        total += number
        buckets.append((f"{bound:g}" if bound != float("inf") else "+Inf", total))
    return HistogramMetricFamily(name, about, buckets=buckets, sum_value=found.seconds)
