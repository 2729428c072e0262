"""Finding the end of a JSON value in a stream, without decoding it."""

import re

_MAX_DEPTH = 1000
"""Of arrays and objects; the decoder refuses deeper ones."""
_NO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
"""Everything before the next bracket or brace, or a string that does not end in the text."""
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class JsonScanner:
    """Follows an object or array through the parts of a text to its end, in bounded memory."""

    def __init__(self) -> None:
        self._depth = 0
        self._escaped = False
        """Whether the last part ended with the backslash of an escape."""
        self.in_string = False
        self.at_end = False
        self.too_deep = False

    def scan(self, text: bytes, position: int) -> int:
        """Scan a part from a position; the position after the value, or the end of the part."""
        if self._escaped and position < len(text):
            self._escaped = False
            position += 1
        while position < len(text) and not (self.at_end or self.too_deep):
            if self.in_string:
                position = self._scan_string(text, position)
            else:
                position = self._scan_to_bracket(text, position)
        return position

    def _scan_string(self, text: bytes, position: int) -> int:
        """Scan to the end of a string that began in an earlier part."""
        match = _IN_STRING.match(text, position)
        position = match.end() if match else position
        if position < len(text):
            self.in_string = self._escaped = text.startswith(b"\\", position)
            position += 1
        return position

    def _scan_to_bracket(self, text: bytes, position: int) -> int:
        match = _NO_BRACKET.match(text, position)
        position = match.end() if match else position
        if position < len(text):
            byte = text[position : position + 1]
            if byte == b'"':
                self.in_string = True
            else:
                self._depth += 1 if byte in b"{[" else -1
                self.at_end = not self._depth
                self.too_deep = self._depth > _MAX_DEPTH
            position += 1
        return position
