"""Texts that are safe to show: escapes, excerpts, URLs without passwords."""

import pytest

from shards.safe_text import escape_control, excerpt, redact_url, shorten

ESCAPES = "\x1b[2J\r\n\x00\x9b\u202e\u2028"


def test_control_characters_become_escapes() -> None:
    assert escape_control("é\x1b[2J\n\u202e") == "é\\x1b[2J\\n\\u202e"
    assert escape_control(ESCAPES).isprintable()


def test_an_excerpt_is_printable_and_at_most_200_bytes() -> None:
    assert excerpt(b'{"a": 1}') == '{"a": 1}'
    assert excerpt(ESCAPES.encode()).isprintable()
    for raw in (b"\xff\xfe" * 300, b"\x1b" * 300, "é€😀".encode() * 100, b"x" * 10**6):
        assert 190 < len(excerpt(raw).encode()) <= 200
        assert excerpt(raw).isprintable()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://host:4222", "nats://host:4222"),
        ("nats://user:secret@host", "nats://***@host"),
        ("user:se@cret@host", "***@host"),
        ("nats://a:s@h1, nats://h2,tls://b:t@h3", "nats://***@h1, nats://h2,tls://***@h3"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_user_and_password(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_a_text_is_cut_after_it_is_escaped() -> None:
    assert shorten("é" * 10, 10) == "é" * 10
    assert shorten("é" * 11, 10) == "é" * 9 + "…"
    assert shorten("\x1b" * 10**6, 10) == "\\x1b\\x1b\\…"
    assert shorten("", 10) == ""
