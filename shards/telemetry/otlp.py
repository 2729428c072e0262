"""Spans and metrics as requests of OTLP, the protocol of OpenTelemetry.

Imported in the thread of the exporter: protobuf is large, and in an optional package.
"""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from shards.ops.metric_samples import HistogramSample
from shards.telemetry.snapshot import MetricsSnapshot, ReadMetric
from shards.tracing.span import AttributeValue, Span

_KINDS = {
    "route": OtlpSpan.SpanKind.SPAN_KIND_CONSUMER,
    "correlate": OtlpSpan.SpanKind.SPAN_KIND_INTERNAL,
    "lookup": OtlpSpan.SpanKind.SPAN_KIND_CLIENT,
}
_SCOPE = InstrumentationScope(name="dsiem-shards")
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def encode_spans(resource: Mapping[str, str], spans: Iterable[tuple[str, Span]]) -> bytes:
    """A request with spans, each with the name of its process."""
    scope = ScopeSpans(scope=_SCOPE, spans=[_span(process, span) for process, span in spans])
    group = ResourceSpans(resource=_resource(resource), scope_spans=[scope])
    return bytes(ExportTraceServiceRequest(resource_spans=[group]).SerializeToString())


def encode_metrics(resource: Mapping[str, str], snapshot: MetricsSnapshot) -> bytes:
    """A request with all metrics at one time; totals since the start of the service."""
    metrics = [_metric(metric, snapshot) for metric in snapshot.metrics]
    scope = ScopeMetrics(scope=_SCOPE, metrics=metrics)
    group = ResourceMetrics(resource=_resource(resource), scope_metrics=[scope])
    return bytes(ExportMetricsServiceRequest(resource_metrics=[group]).SerializeToString())


def count_rejected(answer: bytes) -> int:
    """The number of spans, or of points of metrics, that a collector says that it has refused."""
    try:  # the answers to both have the same form
        response = ExportTraceServiceResponse.FromString(answer)
    except DecodeError:
        return 0
    return max(0, response.partial_success.rejected_spans)


def _resource(attributes: Mapping[str, str]) -> Resource:
    return Resource(attributes=_key_values(attributes))


def _key_values(attributes: Mapping[str, AttributeValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]


def _any_value(value: AttributeValue) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(array_value=ArrayValue(values=list(map(_any_value, value))))


def _span(process: str, span: Span) -> OtlpSpan:
    failed = Status(code=Status.StatusCode.STATUS_CODE_ERROR, message=span.error)
    return OtlpSpan(
        trace_id=span.context.trace,
        span_id=span.context.span,
        parent_span_id=span.parent,
        name=span.name,
        kind=_KINDS[span.name],
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
        attributes=_key_values({"dsiem.process": process, **span.attributes}),
        status=failed if span.error else None,
    )


def _metric(read: ReadMetric, snapshot: MetricsSnapshot) -> Metric:
    metric = Metric(name=read.name, description=read.help)
    if isinstance(read.samples, HistogramSample):
        point = _histogram_point(read.samples, snapshot)
        metric.histogram.CopyFrom(
            Histogram(data_points=[point], aggregation_temporality=_CUMULATIVE)
        )
    elif read.kind == "counter":
        points = _number_points(read, snapshot, snapshot.start)
        total = Sum(data_points=points, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
        metric.sum.CopyFrom(total)
    else:
        metric.gauge.CopyFrom(Gauge(data_points=_number_points(read, snapshot)))
    return metric


def _number_points(
    read: ReadMetric, snapshot: MetricsSnapshot, start: int = 0
) -> Sequence[NumberDataPoint]:
    assert not isinstance(read.samples, HistogramSample)
    return [
        NumberDataPoint(
            attributes=_key_values(dict(zip(read.labels, labels, strict=True))),
            start_time_unix_nano=start,
            time_unix_nano=snapshot.time,
            as_double=value,
        )
        for labels, value in read.samples.items()
    ]


def _histogram_point(sample: HistogramSample, snapshot: MetricsSnapshot) -> HistogramDataPoint:
    """The bucket counts of OTLP are not cumulative, as those of our own histograms."""
    histogram = sample.histogram
    return HistogramDataPoint(
        start_time_unix_nano=snapshot.start,
        time_unix_nano=snapshot.time,
        count=histogram.count,
        sum=histogram.seconds,
        bucket_counts=histogram.buckets,
        explicit_bounds=sample.bounds,
    )
