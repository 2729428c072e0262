"""Notes a span for each sampled event of a shard, and for lookups. Used only if tracing is on."""

import time
from collections.abc import Iterable, Iterator, Sequence

from engine.correlation.correlator import Correlator
from engine.correlation.outputs import Outputs
from engine.errors import InvalidEventError
from engine.event import decode_event
from shards.ledger import OUTCOMES
from shards.tracing.sampling import Sampler, route_span_id, trace_id
from shards.tracing.span import (
    AttributeValue,
    Span,
    SpanBuffer,
    SpanContext,
    short_list,
    short_text,
)
from shards.worker.lookup_spans import LookupSpans

_OUTCOMES = (*OUTCOMES, "finished", "averted")


class ShardTracer:
    """Looks at the outputs of a shard before and after each sampled event."""

    def __init__(self, correlator: Correlator, one_in: int) -> None:
        """`correlator`: that of the shard. `one_in`: see Sampler."""
        self.spans = SpanBuffer()
        self._correlator = correlator
        self._sampler = Sampler(one_in)
        self._lookup_spans = LookupSpans(self.spans, self._sampler)
        self.on_lookup = self._lookup_spans.answered
        """To be called with each answer of a lookup source."""

    def watch(self, events: Sequence[bytes], outputs: Outputs) -> Iterable[bytes]:
        """The events of a batch, each of which is to be done before the next one is asked for.

        `outputs`: what they add to.
        """
        sampled = self._sampler.find(events)
        return self._watch(events, sampled, outputs) if sampled else events

    def _watch(
        self, events: Sequence[bytes], sampled: Iterable[int], outputs: Outputs
    ) -> Iterator[bytes]:
        """A span is noted when the next event after a sampled one is asked for."""
        done = 0
        for index in sampled:
            yield from events[done:index]
            start = time.time_ns()
            counts = {name: outputs.counts.get(name, 0) for name in _OUTCOMES}
            lines, published = len(outputs.alarm_events), len(outputs.published)
            yield events[index]
            attributes: dict[str, AttributeValue] = {
                f"dsiem.outcome.{name}": count - counts[name]
                for name in _OUTCOMES
                if (count := outputs.counts.get(name, 0)) > counts[name]
            }
            alarms = dict.fromkeys(line.alarm_id for line in outputs.alarm_events[lines:])
            attributes |= {
                "dsiem.alarm_ids": short_list(alarms),
                "dsiem.batch.position": index + 1,
                "dsiem.batch.events": len(events),
            }
            context = self._note(events[index], start, attributes)
            for publish in outputs.published[published:]:
                if publish.lookups:
                    self._lookup_spans.note_cause(publish.key, context)
            done = index + 1
        yield from events[done:]

    def _note(self, raw: bytes, start: int, attributes: dict[str, AttributeValue]) -> SpanContext:
        """Note the span of an event that is done; returns its context."""
        end, trace, error = time.time_ns(), trace_id(raw), ""
        try:
            event = decode_event(raw, [])
        except InvalidEventError as invalid:
            error = invalid.reason
        else:
            concerned = self._correlator.concerned(event)
            attributes["dsiem.event_id"] = short_text(event.event_id)
            attributes["dsiem.directives"] = short_list(concerned)
            attributes["dsiem.directive_count"] = len(concerned)
        context, parent = SpanContext.in_trace(trace), route_span_id(trace)
        self.spans.add(Span("correlate", context, parent, start, end, attributes, error))
        return context
