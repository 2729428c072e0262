"""The * in expected texts stands for any characters, at no cost that grows with their number."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.directive_tests.alarm_match import matches

LETTERS = st.text("ab\n", max_size=8)


@given(st.text("ab*\n", max_size=8), LETTERS)
def test_a_star_stands_for_any_characters(pattern: str, text: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, text) == bool(re.fullmatch(expression, text, re.DOTALL))


@given(st.lists(LETTERS, min_size=1), st.data())
def test_a_text_matches_what_it_was_made_from(parts: list[str], data: st.DataObject) -> None:
    text = parts[0] + "".join(data.draw(LETTERS) + part for part in parts[1:])
    assert matches("*".join(parts), text)


@pytest.mark.parametrize("text", ["a.c", "(", "[a]", "\\", "$", "?"])
def test_other_characters_stand_for_themselves(text: str) -> None:
    assert matches(text, text)
    assert not matches(text, "abc")


def test_many_stars_cost_no_more_than_few() -> None:
    started = time.process_time()
    assert not matches("*a" * 1000 + "*b", "a" * 100_000)
    assert time.process_time() - started < 1
