"""The buffer of spans, and its bounds."""

import msgspec

from shards.ipc.framing import decode_from_child
from shards.ipc.messages import SpanReport
from shards.ipc.pipes import ROOM_BYTES
from shards.tracing.span import (
    MAX_SPANS,
    MAX_TEXT,
    MAX_VALUES,
    AttributeValue,
    Span,
    SpanBuffer,
    SpanContext,
    short_list,
    short_text,
)

LARGE = 2**63 - 1
"""An id of a directive, or a count."""


def largest_span() -> Span:
    """As TracedShard notes it, with the longest values that an event and directives can cause."""
    outcomes = ("taken", "opened", "repeated", "sticky_seen", "out_of_order", "suppressed")
    counts = {f"dsiem.outcome.{name}": LARGE for name in (*outcomes, "finished", "averted")}
    attributes: dict[str, AttributeValue] = {
        **counts,
        "dsiem.alarm_ids": short_list("123456789" for _ in range(2 * MAX_VALUES)),
        "dsiem.batch.position": LARGE,
        "dsiem.batch.events": LARGE,
        "dsiem.event_id": short_text("\N{GRINNING FACE}" * 1000),
        "dsiem.directives": short_list(LARGE for _ in range(2 * MAX_VALUES)),
        "dsiem.directive_count": LARGE,
    }
    context = SpanContext.in_trace(b"t" * 16)
    return Span("correlate", context, b"p" * 8, LARGE, LARGE, attributes, "x" * 20)


def test_a_full_buffer_fits_into_a_message_and_further_spans_are_counted() -> None:
    spans = SpanBuffer()
    for _ in range(MAX_SPANS + 3):
        spans.add(largest_span())
    report = SpanReport(*spans.take())
    message = msgspec.msgpack.encode(report)
    assert len(message) <= ROOM_BYTES
    assert decode_from_child(message) == report
    assert (len(report.spans), report.dropped) == (MAX_SPANS, 3)
    assert spans.take() == ([], 0)


def test_texts_and_lists_are_cut() -> None:
    assert short_text("x" * 2 * MAX_TEXT) == "x" * MAX_TEXT
    assert short_list(range(2 * MAX_VALUES)) == [*range(MAX_VALUES)]
