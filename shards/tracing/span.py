"""Spans: what a process did with a sampled event, or for a lookup, and when.

Kept in a bounded buffer until they are reported to the supervisor, which exports them.
"""

import os
from collections.abc import Iterable
from typing import Literal, NamedTuple

from msgspec import Struct

MAX_SPANS = 50
"""Spans that a process keeps between two reports. As many of the largest fit into a message."""
MAX_TEXT = 100
"""Longest text of an attribute, in characters."""
MAX_VALUES = 16
"""Longest list of an attribute."""

AttributeValue = str | int | list[str | int]


class SpanContext(NamedTuple):
    """What the spans that this one causes have to know of it: ids of its trace and of itself."""

    trace: bytes
    span: bytes

    @classmethod
    def in_trace(cls, trace: bytes) -> "SpanContext":
        """A new span of a trace."""
        return cls(trace, os.urandom(8))


class Span(Struct, frozen=True, array_like=True):
    """A span of a trace; `parent` is b"" for the first one.

    `start` and `end`: in nanoseconds since the epoch. `error`: why it failed, or "".
    """

    name: Literal["route", "correlate", "lookup"]
    context: SpanContext
    parent: bytes
    start: int
    end: int
    attributes: dict[str, AttributeValue]
    error: str = ""


class SpanBuffer:
    """The spans of a process since its last report; those above MAX_SPANS are only counted."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._dropped = 0

    def add(self, span: Span) -> None:
        """Keep a span, or count it."""
        if len(self._spans) < MAX_SPANS:
            self._spans.append(span)
        else:
            self._dropped += 1

    def __bool__(self) -> bool:
        """Whether there is something to report."""
        return bool(self._spans)

    def take(self) -> tuple[list[Span], int]:
        """The spans, and the number of those that were dropped, since the last call."""
        spans, dropped = self._spans, self._dropped
        self._spans, self._dropped = [], 0
        return spans, dropped


def short_text(text: str) -> str:
    """A text that others have sent, as the value of an attribute."""
    return text[:MAX_TEXT]


def short_list(values: Iterable[str | int]) -> list[str | int]:
    """The first values, as the value of an attribute."""
    return [value for value, _ in zip(values, range(MAX_VALUES), strict=False)]
