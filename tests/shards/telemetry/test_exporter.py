"""The exporter's thread, and collectors that misbehave."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loguru import logger
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from shards.settings.otlp_endpoint import OtlpEndpoint
from shards.telemetry import exporter
from shards.telemetry.exporter import MAX_SPANS, Exporter
from shards.telemetry.snapshot import read_metrics
from shards.tracing.span import Span, SpanContext
from tests.support.frontend import Reply
from tests.support.otlp_collector import METRICS, TRACES, OtlpCollector
from tests.support.overviews import overview
from tests.support.serving import wait_until

SECRET = "s3cr3t"


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The lines that are logged."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), format="{message} {extra}")
    yield lines
    logger.remove(sink)


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "ROUND_SECONDS", 0.01)


@contextmanager
def exporting(url: str, seconds: float = 1.0) -> Iterator[Exporter]:
    made = Exporter(OtlpEndpoint(url, {"x-token": SECRET}), {"service.name": "s"})
    try:
        yield made
    finally:
        made.close(seconds)


def spans(number: int = 1) -> list[Span]:
    context = SpanContext.in_trace(b"t" * 16)
    return [Span("route", context, b"", 1, 2, {"a": i, "l": ["x", 1]}, "e") for i in range(number)]


def test_spans_and_metrics_arrive_also_those_that_wait_at_the_end() -> None:
    with OtlpCollector() as collector:
        with exporting(collector.url) as made:
            made.add_spans("router", spans(700), 0)
            made.add_metrics(read_metrics(overview()))
        assert [span.attributes["a"] for span in collector.spans()] == [*range(700)]
        first = collector.spans()[0]
        assert first.attributes == {"dsiem.process": "router", "a": 0, "l": ["x", 1]}
        assert (first.error, first.resource) == ("e", {"service.name": "s"})
        assert collector.metrics()["dsiem_source_connected"] == 1
    assert made.dropped == {"span": 0, "metrics": 0}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(503, b"no"), "is answered with status 503, must be 200"),
        (Reply(307, headers={"Location": "http://169.254.169.254/"}), "is redirected to"),
        (Reply(body=b"x" * (1 << 20)), "is too long, may have 65536 bytes"),
        (Reply(headers={"Content-Length": "500000000"}), "cannot be read"),
        (Reply(headers={"Content-Encoding": "gzip"}), "comes packed"),
    ],
    ids=["status", "redirect", "long", "cut", "packed"],
)
def test_a_collector_that_misbehaves_is_logged_once_and_counted(
    reply: Reply, why: str, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "MAX_PAUSE_SECONDS", 0.02)
    with OtlpCollector() as collector:
        collector.replies = {TRACES: reply, METRICS: reply}
        with exporting(collector.url) as made:
            made.add_spans("router", spans(2), 3)
            wait_until(lambda: made.dropped["span"] == 5, "dropped spans")
            made.add_metrics(read_metrics(overview()))
            wait_until(lambda: made.dropped["metrics"] == 1, "dropped metrics")
            collector.replies = {}
            made.add_spans("router", spans(), 0)
            wait_until(lambda: len(log) == 2, "that it works again")
    assert log[0].startswith("telemetry cannot be exported")
    assert why in log[0]
    assert log[1].startswith("telemetry is exported again")
    assert made.dropped == {"span": 5, "metrics": 1}
    assert SECRET not in "".join(log)


@pytest.mark.parametrize(
    ("said", "counted"), [(2, {"span": 2, "metrics": 1}), (99, {"span": 3, "metrics": 1}), (-9, {})]
)
def test_what_a_collector_refuses_is_counted(said: int, counted: dict[str, int]) -> None:
    refused = ExportTraceServiceResponse()
    refused.partial_success.rejected_spans = said
    answer = Reply(body=refused.SerializeToString())
    with OtlpCollector() as collector:
        collector.replies = {TRACES: answer, METRICS: answer}
        with exporting(collector.url) as made:
            made.add_spans("router", spans(3), 0)
            made.add_metrics(read_metrics(overview()))
    assert made.dropped == {"span": 0, "metrics": 0} | counted


def test_a_collector_that_hangs_fills_a_bounded_queue_and_delays_no_stop(log: list[str]) -> None:
    with OtlpCollector() as collector:
        collector.replies[TRACES] = Reply(head_drip=60)
        with exporting(collector.url, seconds=0.3) as made:
            made.add_spans("router", spans(), 0)
            collector.wait_for(TRACES)
            made.add_spans("router", spans(MAX_SPANS + 5), 0)
            assert made.dropped["span"] == 5
            since = time.monotonic()
        assert time.monotonic() - since < 5
    assert made.dropped["span"] == MAX_SPANS + 6
    assert "stopping" in log[0]


def test_nobody_listens_and_the_certificates_are_missing(log: list[str], tmp_path: Path) -> None:
    with OtlpCollector() as collector:
        url = collector.url
    with exporting(url) as made:
        made.add_spans("router", spans(), 0)
    assert "Connection refused" in log[0]
    endpoint = OtlpEndpoint(url.replace("http", "https"), {}, str(tmp_path / "none.pem"))
    missing = Exporter(endpoint, {})
    missing.add_spans("router", spans(), 0)
    missing.close(1.0)
    assert "none.pem" in log[1]
    assert (made.dropped["span"], missing.dropped["span"]) == (1, 1)
