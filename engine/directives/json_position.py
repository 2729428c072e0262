"""Finds the line and column of a path in a JSON document.

Only the levels on the path are decoded, each one level deep, so that it is fast and needs little
memory for documents of many megabytes.
"""

import re
from array import array
from bisect import bisect_left

import msgspec
from msgspec import Struct

from engine.errors import DocumentPath

_BETWEEN = re.compile(rb"[\s,:]*")
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]*")
_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


class _Span(Struct, frozen=True):
    """The place of a value in the document, in bytes."""

    start: int
    end: int


class JsonLocator:
    """Finds positions in one document, which must be UTF-8."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._ascii = data.isascii()
        self._spans: dict[DocumentPath, _Span] = {(): _Span(self._skip(0), len(data))}
        self._items: dict[int, list[_Span]] = {}
        """The items of the lists on requested paths, by the offset of the list."""
        self._line_ends: array[int] | None = None
        self._last = (0, 1)
        """An offset and its column: the next one is often close behind."""

    def locate(self, path: DocumentPath, offset: int = 0) -> tuple[int, int]:
        """Line and column, both from 1, of the place `offset` bytes behind a path's value.

        Columns count characters. A path without a value gives the last value on its way.
        """
        start = self._span(path).start if path or not offset else 0
        return self._line_and_column(start + offset)

    def _span(self, path: DocumentPath) -> _Span:
        """The place of a path's value; cached, since faults often share paths."""
        if path not in self._spans:
            above = self._span(path[:-1])
            step = path[-1]
            below = self._item(above, step) if isinstance(step, int) else self._value(above, step)
            self._spans[path] = below or above
        return self._spans[path]

    def _item(self, span: _Span, position: int) -> _Span | None:
        if span.start not in self._items:
            self._items[span.start] = self._list(span)
        items = self._items[span.start]
        return items[position] if position < len(items) else None

    def _list(self, span: _Span) -> list[_Span]:
        view = memoryview(self._data)[span.start : span.end]
        try:
            items = msgspec.json.decode(view, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, RecursionError):
            return []
        spans = []
        end = span.start + 1
        for item in items:
            start = self._skip(end)
            end = start + len(memoryview(item))
            spans.append(_Span(start, end))
        return spans

    def _value(self, span: _Span, key: str) -> _Span | None:
        """The place of a key's value; of equal keys the last, as in decoding."""
        view = memoryview(self._data)[span.start : span.end]
        try:
            values = msgspec.json.decode(view, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, RecursionError):
            return None
        found = None
        end = span.start + 1
        while (name := _TEXT.match(self._data, self._skip(end))) is not None and end < span.end:
            start = self._skip(name.end())
            text = msgspec.json.decode(name[0], type=str)
            end = self._end(start, memoryview(values[text]))
            found = _Span(start, end) if text == key else found
        return found

    def _end(self, start: int, likely: memoryview) -> int:
        """The end of the value at `start`; `likely` is the value of the last equal key."""
        if self._data[start : start + 1] not in (b"{", b"["):
            simple = _TEXT.match(self._data, start) or _SCALAR.match(self._data, start)
            return simple.end() if simple else start
        end = start + len(likely)
        if memoryview(self._data)[start:end] == likely:
            return end
        depth = 0
        for token in _TOKEN.finditer(self._data, start):
            depth += _DEPTH.get(token[0], 0)
            if depth == 0:
                return token.end()
        return len(self._data)

    def _skip(self, at: int) -> int:
        """The offset after white space, commas and colons."""
        between = _BETWEEN.match(self._data, at)
        return between.end() if between else at

    def _line_and_column(self, offset: int) -> tuple[int, int]:
        if self._line_ends is None:
            self._line_ends = array("Q", (end.start() for end in re.finditer(b"\n", self._data)))
        line = bisect_left(self._line_ends, offset)
        start = self._line_ends[line - 1] + 1 if line else 0
        if self._ascii:
            return line + 1, offset - start + 1
        from_, column = self._last if start <= self._last[0] <= offset else (start, 1)
        column += len(self._data[from_:offset].decode(errors="replace"))
        self._last = (offset, column)
        return line + 1, column
