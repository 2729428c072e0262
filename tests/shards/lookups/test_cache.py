"""The cache of answers, with a time that tests pass."""

from engine.alarm import Hit
from shards.lookups.cache import LookupCache

HITS = (Hit("p", "t", "r"),)


def test_answers_with_and_without_hits_are_cached_until_they_expire() -> None:
    cache = LookupCache(seconds=10.0, capacity=10)
    cache.put("a", HITS, 0.0)
    cache.put("b", (), 5.0)
    assert (cache.get("a", 9.9), cache.get("b", 9.9)) == (HITS, ())
    assert (cache.get("a", 10.0), cache.get("b", 14.9)) == (None, ())
    assert len(cache) == 1
    assert cache.get("c", 0.0) is None


def test_the_oldest_answer_is_evicted_first() -> None:
    cache = LookupCache(seconds=10.0, capacity=3)
    for term in "abca":
        cache.put(term, (), 0.0)
    cache.put("d", (), 0.0)
    assert [term for term in "abcd" if cache.get(term, 0.0) is not None] == ["a", "c", "d"]


def test_a_long_answer_takes_more_of_the_capacity() -> None:
    cache = LookupCache(seconds=10.0, capacity=10)
    for term in range(10):
        cache.put(term, (), 0.0)
    cache.put("long", (Hit("p", "t", "x" * 256 * 7),), 0.0)
    assert len(cache) == 3
    cache.put("long", (), 0.0)
    for term in range(20, 29):
        cache.put(term, (), 0.0)
    assert len(cache) == 10


def test_an_answer_longer_than_the_capacity_is_not_cached() -> None:
    cache = LookupCache(seconds=10.0, capacity=3)
    cache.put("long", (Hit("p", "t", "x" * 10_000),), 0.0)
    assert len(cache) == 0
    cache.put("a", (), 0.0)
    assert cache.get("a", 0.0) == ()


def test_a_lifetime_of_zero_disables_the_cache() -> None:
    cache = LookupCache(seconds=0.0, capacity=3)
    cache.put("a", HITS, 0.0)
    assert (cache.get("a", 0.0), len(cache)) == (None, 0)


def test_a_cache_that_is_only_written_stays_within_its_capacity() -> None:
    cache = LookupCache(seconds=10.0, capacity=100)
    for term in range(10_000):
        cache.put(term, HITS, float(term))
    assert len(cache) == 100
