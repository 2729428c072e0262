"""A router that notes a span for each sampled event. Used only if tracing is on."""

import time
from collections.abc import Sequence

from engine.errors import InvalidEventError
from engine.event import decode_routing_key
from shards.router.router import Router
from shards.router.routing_table import ELSEWHERE, RoutingTable
from shards.router.send_queue import SendQueue
from shards.sources.event_source import Refusal
from shards.tracing.sampling import Sampler, route_span_id, trace_id
from shards.tracing.span import AttributeValue, Span, SpanBuffer, SpanContext, short_list
from shards.unmatched_events import UnmatchedEvents


class TracedRouter(Router):
    """Routes like a Router; what it notes of a sampled event, it finds out once more."""

    def __init__(
        self,
        table: RoutingTable,
        send_queues: Sequence[SendQueue],
        one_in: int,
        spans: SpanBuffer,
        unmatched: UnmatchedEvents | None = None,
    ) -> None:
        """`one_in`: see Sampler. `spans`: where they are noted."""
        super().__init__(table, send_queues, unmatched)
        self._sampler = Sampler(one_in)
        self._spans = spans

    def route(self, raws: Sequence[bytes], first: int = 0) -> None:
        """Route the events of one read; the spans of all begin and end with it."""
        start = time.time_ns()
        super().route(raws, first)
        for index in self._sampler.find(raws):
            self._note(raws[index], start, self._describe(raws[index]))

    def take(self, raw: bytes) -> Refusal | None:
        """Validate and route one event."""
        if not self._sampler.is_sampled(raw):
            return super().take(raw)
        start = time.time_ns()
        refusal = super().take(raw)
        attributes = self._describe(raw)
        if refusal is not None:
            attributes["dsiem.outcome"] = refusal.reason
        self._note(raw, start, attributes)
        return refusal

    def _describe(self, raw: bytes) -> dict[str, AttributeValue]:
        """What becomes of an event, the workers it goes to, and what waits for each of them."""
        try:
            key = decode_routing_key(raw)
        except InvalidEventError as error:
            return {"dsiem.outcome": error.reason}
        workers = self._find_workers(key)
        if not workers:
            return {"dsiem.outcome": "unmatched"}
        if self._is_whitelisted(key.src_ip):
            return {"dsiem.outcome": "whitelisted"}
        here = [worker for worker in workers if worker != ELSEWHERE]
        return {
            "dsiem.outcome": "routed" if here else "elsewhere",
            "dsiem.workers": short_list(here),
            "dsiem.queued": short_list(self._send_queues[worker].queued for worker in here),
        }

    def _note(self, raw: bytes, start: int, attributes: dict[str, AttributeValue]) -> None:
        trace = trace_id(raw)
        context = SpanContext(trace, route_span_id(trace))
        attributes["dsiem.event_bytes"] = len(raw)
        self._spans.add(Span("route", context, b"", start, time.time_ns(), attributes))
