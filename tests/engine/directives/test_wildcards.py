"""Patterns with wildcards, held against a slow and obvious matcher; and in linear time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.asset import AddressInfo
from engine.directives.condition import compile_text
from engine.directives.wildcards import compile_pattern, has_wildcard
from tests.support.events import make_event
from tests.support.oracle import wild_matches

LONG = 2**20
"""The length of a text as long as an event can be."""
SHORT = 2**7


@given(st.text("ab*?\\\\\n", max_size=8), st.text("ab*\\\\\n", max_size=10))
def test_a_pattern_matches_as_it_is_said(pattern: str, text: str) -> None:
    assert compile_pattern(pattern)(text) is wild_matches(pattern, text)


@given(st.text(max_size=6))
def test_an_escaped_text_matches_itself_alone(text: str) -> None:
    matches = compile_pattern("".join(f"\\{character}" for character in text))
    assert matches(text)
    assert not matches(f"{text}x")


def test_wildcards_are_those_that_are_not_escaped() -> None:
    assert all(map(has_wildcard, ("*", "a?", "\\\\*")))
    assert not any(map(has_wildcard, ("", "a", "\\*", "\\?", "\\", "a.b")))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a*a*a*a*a*a*a*b", "a" * LONG),
        ("*a*?b*a*?c", "ab" * (LONG // 2)),
        ("a?*a?*a?*a?*!", "a" * LONG),
        ("*" * SHORT + "b", "a" * LONG),
        ("*" + "a" * SHORT + "b*", "a" * LONG),
    ],
    ids=["stars", "both", "ones", "stars in a row", "a long part"],
)
def test_hostile_texts_take_no_longer_than_their_length(pattern: str, text: str) -> None:
    """Were the time a power of the length, this would not end."""
    assert not compile_pattern(pattern)(text)


def test_a_condition_with_wildcards_matches_a_long_text() -> None:
    condition = compile_text("*PowerShell*-enc*", "custom_data1", wildcards=True)
    assert callable(condition)
    event = make_event("e", 0, custom_data1="x" * LONG + "powershell -ENC")
    assert condition(event, AddressInfo(), AddressInfo())
