"""An OpenTelemetry collector for tests: takes OTLP over HTTP, and decodes what was sent to it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric

from tests.support.frontend import Frontend, Reply

TRACES, METRICS = "/v1/traces", "/v1/metrics"


class CollectedSpan(NamedTuple):
    """A span, with the attributes of itself and of its service; times in nanoseconds."""

    name: str
    trace: bytes
    span: bytes
    parent: bytes
    start: int
    end: int
    attributes: dict[str, Any]
    error: str
    resource: dict[str, Any]


class OtlpCollector(Frontend):
    """Answers everything with 200, unless `replies` says otherwise."""

    def reply_to(self, path: str) -> Reply:
        return super().reply_to(path) if self.replies.get(path) else Reply()

    def spans(self, name: str = "") -> list[CollectedSpan]:
        """The spans so far, or those with a name."""
        return [span for span in self._spans() if name in ("", span.name)]

    def _spans(self) -> Iterator[CollectedSpan]:
        for asked in self._posted(TRACES):
            for group in ExportTraceServiceRequest.FromString(asked).resource_spans:
                resource = _attributes(group.resource.attributes)
                for scope in group.scope_spans:
                    for span in scope.spans:
                        yield CollectedSpan(
                            span.name,
                            span.trace_id,
                            span.span_id,
                            span.parent_span_id,
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            _attributes(span.attributes),
                            span.status.message,
                            resource,
                        )

    def metrics(self) -> dict[str, float]:
        """The newest metrics, by their names and labels as Prometheus writes them."""
        posted = self._posted(METRICS)
        if not posted:
            return {}
        request = ExportMetricsServiceRequest.FromString(posted[-1])
        return {
            name: value
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
            for name, value in _samples(metric)
        }

    def _posted(self, path: str) -> list[bytes]:
        return [asked.body for asked in self.asked if asked.path == path]


def _samples(metric: Metric) -> Iterator[tuple[str, float]]:
    for point in (*metric.sum.data_points, *metric.gauge.data_points):
        labels = ",".join(f'{k}="{v}"' for k, v in _attributes(point.attributes).items())
        yield with_sorted_labels(f"{metric.name}{{{labels}}}"), point.as_double
    for histogram in metric.histogram.data_points:
        yield from _buckets(metric.name, histogram)


def with_sorted_labels(sample: str) -> str:
    """The name of a sample with its labels in alphabetic order, and without braces around none."""
    name, _, labels = sample.removesuffix("}").partition("{")
    return f"{name}{{{','.join(sorted(labels.split(',')))}}}" if labels else name


def _buckets(name: str, point: HistogramDataPoint) -> Iterator[tuple[str, float]]:
    total = 0
    bounds = [*(f"{bound:g}" for bound in point.explicit_bounds), "+Inf"]
    for bound, count in zip(bounds, point.bucket_counts, strict=True):
        total += count
        yield f'{name}_bucket{{le="{bound}"}}', total
    yield f"{name}_count", point.count
    yield f"{name}_sum", point.sum


def _attributes(pairs: Any) -> dict[str, Any]:
    return dict(map(_pair, pairs))


def _pair(pair: KeyValue) -> tuple[str, Any]:
    return pair.key, _value(pair.value)


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
