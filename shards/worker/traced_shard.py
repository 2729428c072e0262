"""A shard that notes a span for each sampled event, and for lookups. Used only if tracing is on."""

import time
from collections.abc import Iterable, Iterator, Sequence

from engine.correlation.directive_set import DirectiveSet
from engine.errors import InvalidEventError
from engine.event import decode_event
from engine.options import Options
from shards.checkpoint.stats import ShardProgress
from shards.ledger import OUTCOMES
from shards.settings.settings import Settings
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
from shards.worker.shard import Shard

_OUTCOMES = (*OUTCOMES, "finished", "averted")


class TracedShard(Shard):
    """Correlates like a Shard, and looks at its outputs before and after each sampled event."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        directives: DirectiveSet,
        progress: ShardProgress | None = None,
        written_until: int = 0,
    ) -> None:
        """As Shard."""
        super().__init__(settings, options, directives, progress, written_until)
        self.spans = self._spans = SpanBuffer()
        self._sampler = Sampler(settings.otel_sample)
        self._lookup_spans = LookupSpans(self._spans, self._sampler)
        self.on_lookup = self._lookup_spans.answered

    def _each_event(self, events: Sequence[bytes]) -> Iterable[bytes]:
        sampled = self._sampler.find(events)
        return self._watch(events, sampled) if sampled else events

    def _watch(self, events: Sequence[bytes], sampled: Iterable[int]) -> Iterator[bytes]:
        """The events; a span is noted when the next one after a sampled one is asked for."""
        done = 0
        for index in sampled:
            yield from events[done:index]
            start, outputs = time.time_ns(), self._outputs
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
            concerned = self.correlator.concerned(event)
            attributes["dsiem.event_id"] = short_text(event.event_id)
            attributes["dsiem.directives"] = short_list(concerned)
            attributes["dsiem.directive_count"] = len(concerned)
        context, parent = SpanContext.in_trace(trace), route_span_id(trace)
        self._spans.add(Span("correlate", context, parent, start, end, attributes, error))
        return context
