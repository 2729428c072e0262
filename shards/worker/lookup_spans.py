"""Spans of lookups: in the trace of the sampled event that has caused them, or sampled alone."""

import time
from collections import OrderedDict

from engine.alarm import BacklogKey
from shards.lookups.plugin_runner import LookupAnswer, LookupOutcome
from shards.lookups.source_config import LookupSource
from shards.lookups.thread_pool import LookupJob
from shards.tracing.sampling import Sampler, trace_id
from shards.tracing.span import AttributeValue, Span, SpanBuffer, SpanContext, short_text

MAX_CAUSES = 1000
"""Alarms whose lookups are known to be caused by a sampled event; the latest."""


class LookupSpans:
    """Notes the spans of the lookups of one shard."""

    def __init__(self, spans: SpanBuffer, sampler: Sampler) -> None:
        self._spans = spans
        self._sampler = sampler
        self._causes: OrderedDict[BacklogKey, SpanContext] = OrderedDict()

    def note_cause(self, backlog: BacklogKey, context: SpanContext) -> None:
        """A sampled event, with this span, has caused lookups for a backlog."""
        self._causes[backlog] = context
        self._causes.move_to_end(backlog)
        if len(self._causes) > MAX_CAUSES:
            self._causes.popitem(last=False)

    def answered(
        self, source: LookupSource, job: LookupJob, outcome: LookupOutcome, seconds: float
    ) -> None:
        """A source has answered, so many seconds after it was asked for.

        Of several sampled events that waited for the answer, the first one has the span.
        """
        end = time.time_ns()
        start = end - int(seconds * 1e9)
        causes = (cause for waiter in job.waiters if (cause := self._causes.get(waiter)))
        cause = next(causes, None)
        if cause is None:
            identity = f"{source.kind} {source.name} {job.term} {start}".encode()
            if not self._sampler.is_sampled(identity):
                return
            cause = SpanContext(trace_id(identity), b"")
        attributes: dict[str, AttributeValue] = {
            "dsiem.lookup.source": short_text(source.name),
            "dsiem.lookup.kind": source.kind,
            "dsiem.lookup.alarms": len(job.waiters),
        }
        error = ""
        if isinstance(outcome, LookupAnswer):
            attributes["dsiem.lookup.hits"] = len(outcome.hits)
        else:
            error = outcome.code
        context = SpanContext.in_trace(cause.trace)
        self._spans.add(Span("lookup", context, cause.span, start, end, attributes, error))
