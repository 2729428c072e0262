"""Texts that are safe to show: without control characters and secrets, and bounded.

A leaf apart from logs.py, since `--help` must not load the logging library.
"""

import re

EXCERPT_BYTES = 200
_LOGIN = re.compile(r"((?:^|,)\s*(?:[\w+.-]+://)?)(?:(?!,\s*[\w+.-]+://).)*@", re.DOTALL)
"""User and password of each URL in a comma-separated list; greedy, so that no part of a password
with an @ in it remains."""


def escape_control(text: str) -> str:
    """A text with every control character as an escape: safe for terminals, and one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def encodable(text: str) -> str:
    """A text for JSON: bytes of a file name that are no UTF-8 as escapes, `\\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def redact_url(text: str) -> str:
    """A URL, or a comma-separated list of them, without user and password."""
    return _LOGIN.sub(r"\1***@", text)


def excerpt(raw: bytes) -> str:
    """The beginning of any bytes as one safe line of at most 200 bytes."""
    text = escape_control(raw[:EXCERPT_BYTES].decode("utf-8", "backslashreplace"))
    return text.encode()[:EXCERPT_BYTES].decode("utf-8", "ignore")


def shorten(text: str, most: int) -> str:
    """A text as one safe line of at most `most` characters; what was cut is shown as `…`."""
    safe = escape_control(text[: most + 1])
    return safe if len(safe) <= most else safe[: most - 1] + "…"
