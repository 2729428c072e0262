"""A dict that computes missing values."""

import pytest

from engine.cache import MAX_TEXT, FunctionCache


def test_what_is_known_is_not_asked_again_until_it_is_full() -> None:
    asked: list[int] = []

    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    memo = FunctionCache(double, 2)
    assert [memo[1], memo[2], memo[1], memo[2]] == [2, 4, 2, 4]
    assert asked == [1, 2]
    assert [memo[3], memo[3], memo[1]] == [6, 6, 2]
    assert asked == [1, 2, 3, 1]
    assert len(memo) == 2


def test_what_is_raised_is_not_kept() -> None:
    memo = FunctionCache(int, 10)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            memo["x"]
    assert not memo


def test_long_texts_are_not_kept() -> None:
    """Events may have an address between blanks: 16,384 of a megabyte would be 16 GB."""
    memo = FunctionCache(str.strip, 10)
    for blanks in (MAX_TEXT, MAX_TEXT - 1):
        assert memo["x" + " " * blanks] == "x"
    assert list(map(len, memo)) == [MAX_TEXT]
