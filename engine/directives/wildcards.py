"""Patterns of texts: `*` is any number of characters, `?` is one, `\\` takes the next as it is.

A file of its own: what else a condition can be is in condition.py.
"""

import re
from collections.abc import Callable

_TOKEN = re.compile(r"\\.|.", re.DOTALL)
"""A character with the `\\` before it, if any; a `\\` at the end is itself."""
_ANY_NUMBER, _ANY_ONE = "*", "?"


def has_wildcard(text: str) -> bool:
    """Whether a text has a `*` or `?` that is not escaped."""
    return any(token in (_ANY_NUMBER, _ANY_ONE) for token in _TOKEN.findall(text))


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a text matches; its time is linear in the length of the text.

    Each part between two `*` is matched where it comes first, and never again further on: a later
    place would leave less of the text to the parts behind it. Only the last part has one place.
    """
    tokens = _TOKEN.findall(pattern)
    if not has_wildcard(pattern):
        return "".join(token[-1] for token in tokens).__eq__
    first, *parts = _parts(tokens)
    between = "".join(f"(?>.*?{part})" for part in parts[:-1])
    last = "".join(f".*{part}" for part in parts[-1:])
    matches = re.compile(first + between + last, re.DOTALL).fullmatch
    return lambda text: matches(text) is not None


def _parts(tokens: list[str]) -> list[str]:
    """The regular expressions of what is before, between and after the `*`."""
    parts = [""]
    for token in tokens:
        if token == _ANY_NUMBER:
            parts.append("")
        else:
            parts[-1] += "." if token == _ANY_ONE else re.escape(token[-1])
    return [parts[0], *filter(None, parts[1:-1]), *parts[1:][-1:]]
