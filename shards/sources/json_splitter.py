"""Splitting a stream of bytes into JSON values.

Values stand in lines of their own, in an array, on one line, or over several lines each.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from engine.event import MAX_EVENT_BYTES
from shards.sources.json_scanner import JsonScanner

_LONGEST = MAX_EVENT_BYTES + 2
"""One byte more than the longest valid line with its newline."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_BLANKS_AND_COMMAS = re.compile(rb"[ \t\r\n,]*+")
_NEXT_VALUE = re.compile(rb"[ \t\r]*+(?:[{\n]|\Z)")
_LINE = re.compile(rb"[^\n]*+")
_ARRAY_ELEMENT = re.compile(rb"[^,\]\n]*+")

_value = msgspec.json.Decoder(msgspec.Raw)


Located = tuple[bytes, int, int]
"""A value, or text that is none, and where it begins: line and column, from 1, in bytes."""


class _Line(NamedTuple):
    """A line with its end, or a part of a long line.

    `offset`: where it begins in its line; `may_continue`: whether a value may go on after it.
    """

    text: bytes
    number: int
    offset: int = 0
    may_continue: bool = True


class JsonSplitter:
    """Splits a stream into JSON values; what is no value is given line by line.

    A `[` begins an array only in a stream that begins with one. A value that is longer than
    MAX_EVENT_BYTES is cut soon after. Memory is bounded by a few times MAX_EVENT_BYTES.
    """

    def __init__(self, stream: BinaryIO, part_bytes: int = _LONGEST) -> None:
        """Split a stream; a line of more than `part_bytes` is read in parts."""
        self._readline = stream.readline
        self._part_bytes = part_bytes
        self._pushed_back: deque[_Line] = deque()
        """Lines that were read to continue a value, and do not."""
        self._lines_read = 0
        self._next_offset = 0
        """Where the next part of the last line read begins; 0 if all of the line was read."""
        self._line = _Line(b"", 0)
        self._holds_arrays: bool | None = None
        """Whether the stream begins with an array; None until its first value."""
        self._in_array = False

    def __iter__(self) -> Iterator[Located]:
        """The values in their order, without blanks around them."""
        readline, part_bytes = self._readline, self._part_bytes
        while True:
            if self._pushed_back or self._next_offset or self._holds_arrays is not False:
                if not self._read():
                    return
            else:  # most lines
                text = readline(part_bytes)
                # One brace at its beginning and one at its end:
                if (
                    text[-2:] == b"}\n"
                    and not text.rfind(b"{")
                    and text.find(b"}") == len(text) - 2
                ):
                    self._lines_read += 1
                    yield text[:-1], self._lines_read, 1
                    continue
                if not self._take_in(text):
                    return
            if self._holds_arrays is False and _is_object(self._line.text):
                yield self._line.text.rstrip(), self._line.number, self._line.offset + 1
            else:
                yield from self._split()

    def _read(self) -> bool:
        """Go to the next line, or to the next part of a long one; whether there was one."""
        if self._pushed_back:
            self._line = self._pushed_back.popleft()
            return True
        return self._take_in(self._readline(self._part_bytes))

    def _take_in(self, text: bytes) -> bool:
        """Go to a line or part that was just read; whether it is not the end of the stream."""
        self._lines_read += not self._next_offset
        self._line = _Line(text, self._lines_read, self._next_offset)
        self._next_offset = 0 if text.endswith(b"\n") else self._next_offset + len(text)
        return bool(text)

    def _split(self) -> Iterator[Located]:
        """The values that begin in the current line, the last of which may end in a later one."""
        position = 0
        if not self._line.offset and self._line.text.startswith(_BYTE_ORDER_MARK):
            position = len(_BYTE_ORDER_MARK)
        while (position := self._skip_blanks(position)) < len(self._line.text):
            first = self._line.text[position : position + 1]
            if self._holds_arrays is None:
                self._holds_arrays = first == b"["
            if first == b"[" and self._holds_arrays and not self._in_array:
                self._in_array = True
                position += 1
            elif first == b"]" and self._in_array:
                self._in_array = False
                position += 1
            elif first == b"{" or (first == b"[" and self._in_array):
                value, position = self._take_value(position)
                yield value
            else:
                value, position = self._take_garbage(position)
                yield value

    def _skip_blanks(self, position: int) -> int:
        blanks = _BLANKS_AND_COMMAS if self._in_array else _BLANKS
        return _end_of(blanks, self._line.text, position)

    def _take_garbage(self, position: int) -> tuple[Located, int]:
        """What is no object up to the end of the line, or of the array's element."""
        line = self._line
        end = _end_of(_ARRAY_ELEMENT if self._in_array else _LINE, line.text, position)
        garbage = line.text[position:end].rstrip(b"\r")
        if not self._in_array:
            self._skip_rest_of_line()
        return (garbage, line.number, line.offset + position + 1), end

    def _skip_rest_of_line(self) -> None:
        """Skip the parts of the current line that have not been read yet."""
        line = self._line
        while not self._line.text.endswith(b"\n") and self._read():
            pass
        self._line = line

    def _take_value(self, position: int) -> tuple[Located, int]:
        """The value that begins at a position, and the position after it in the then current line.

        If it has no end, it is the text of its first line, and the others are read again.
        """
        first, begin = self._line, position
        scanner = JsonScanner()
        parts, size, later_lines = [], 0, list[_Line]()
        while True:
            line = self._line
            end = scanner.scan(line.text, position)
            if scanner.at_end and not self._in_array and not _NEXT_VALUE.match(line.text, end):
                end = _end_of(_LINE, line.text, end)  # as invalid as the same line by itself
            size += end - position
            if size <= MAX_EVENT_BYTES + len(line.text):
                parts.append(line.text[position:end])
            if scanner.at_end or not self._continues(first, scanner):
                break
            if size <= MAX_EVENT_BYTES:
                later_lines.append(self._line)
            position = 0
        raw = b"".join(parts)
        if not scanner.at_end:
            end = len(self._line.text)
            if size <= MAX_EVENT_BYTES:
                raw = first.text[begin:]
                again = (later._replace(may_continue=False) for later in later_lines)
                self._pushed_back.extendleft(reversed(list(again)))
        return (raw[:_LONGEST].rstrip(), first.number, first.offset + begin + 1), end

    def _continues(self, first: _Line, scanner: JsonScanner) -> bool:
        """Read on; whether the value can go on there. A line that begins another one is put back.

        In a value of several lines, its parts are indented deeper than its first line.
        """
        line = self._line
        if line.text.endswith(b"\n") and (scanner.in_string or not line.may_continue):
            return False
        if scanner.too_deep:
            self._skip_rest_of_line()
            return False
        if not self._read():
            return False
        if self._line.offset or _indentation(self._line.text) > _indentation(first.text):
            return True
        if not self._line.text.lstrip(b" \t").startswith(b"{"):
            return True
        self._pushed_back.appendleft(self._line)
        self._line = line
        return False


def _is_object(text: bytes) -> bool:
    """Whether a line is one JSON object."""
    try:
        _value.decode(text)
    except Exception:  # RecursionError is not a MsgspecError
        return False
    return text.startswith(b"{")


def _end_of(pattern: re.Pattern[bytes], text: bytes, position: int) -> int:
    """Where a pattern that matches everywhere ends."""
    match = pattern.match(text, position)
    return match.end() if match else position


def _indentation(text: bytes) -> int:
    return len(text) - len(text.lstrip(b" \t"))
