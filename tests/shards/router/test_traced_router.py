"""The router with tracing: it routes and counts as the other one, and notes spans."""

from typing import Any

from shards.router.traced_router import TracedRouter
from shards.sources.event_source import QUEUE_FULL
from shards.tracing.sampling import route_span_id, trace_id
from shards.tracing.span import Span, SpanBuffer
from tests.support.routing import Routed, event

EVENTS = [event(1), event(77), event(1, src_ip="10.9.9.9"), b"[", event(99)]


def traced(one_in: int = 1, **settings: Any) -> tuple[Routed, SpanBuffer]:
    routed, spans = Routed(**settings), SpanBuffer()
    table = routed.table
    routed.router = TracedRouter(table, routed.queues, one_in, spans)
    return routed, spans


def outcomes(spans: list[Span]) -> list[object]:
    return [span.attributes["dsiem.outcome"] for span in spans]


def test_what_becomes_of_each_event_is_noted_and_counted_as_ever() -> None:
    (routed, buffer), plain = traced(), Routed()
    routed.router.route(EVENTS)
    plain.router.route(EVENTS)
    assert routed.events == plain.events
    assert routed.queued == plain.queued
    spans, _ = buffer.take()
    assert outcomes(spans) == ["routed", "unmatched", "whitelisted", "bad_json", "routed"]
    assert spans[-1].attributes["dsiem.workers"] == [0, 1]
    assert spans[-1].attributes["dsiem.queued"] == routed.queued
    for span, raw in zip(spans, EVENTS, strict=True):
        trace = trace_id(raw)
        assert (span.context, span.parent) == ((trace, route_span_id(trace)), b"")
        assert 0 < span.start <= span.end


def test_a_refusal_is_noted() -> None:
    routed, buffer = traced(max_queue=1)
    assert routed.router.take(event(1)) is None
    assert routed.router.take(event(1)) is not None
    assert routed.router.take(b"[") is not None
    assert outcomes(buffer.take()[0]) == ["routed", QUEUE_FULL, "bad_json"]


def test_events_of_other_services_of_the_node_go_elsewhere() -> None:
    routed, buffer = traced(cluster_size=2, cluster_index="0")
    routed.router.route([event(number) for number in range(1, 9)])
    assert {*outcomes(buffer.take()[0])} == {"routed", "elsewhere"}


def test_events_that_are_not_sampled_have_no_span() -> None:
    routed, buffer = traced(one_in=2**63)
    routed.router.route(EVENTS)
    assert routed.router.take(event(1)) is None
    assert not buffer
    assert routed.events.received == len(EVENTS) + 1
