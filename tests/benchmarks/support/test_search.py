"""The search for a sustained rate."""

import pytest

from benchmarks.support.search import RateLimits, search_rate


@pytest.mark.parametrize("first", [100, 1000, 4000, 16_000])
@pytest.mark.parametrize("limit", [1100, 1999, 3000])
def test_the_limit_is_between_the_two_rates_that_are_close(first: int, limit: int) -> None:
    found = search_rate(lambda rate: rate <= limit, first)
    assert found.sustained <= limit < found.failed
    assert found.failed - found.sustained <= found.sustained / 8 + 1


def test_a_service_that_sustains_no_rate_ends_the_search() -> None:
    tried: list[int] = []

    def sustains(rate: int) -> bool:
        tried.append(rate)
        return False

    assert search_rate(sustains, 3200) == RateLimits(0, 100)
    assert tried == [3200, 1600, 800, 400, 200, 100]
    assert search_rate(sustains, 1) == RateLimits(0, 1)
