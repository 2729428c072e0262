"""The circuit breaker, with a time that tests pass."""

import pytest

from shards.lookups.circuit_breaker import CircuitBreaker


def record_all(breaker: CircuitBreaker, *outcomes: bool, now: float = 0.0) -> list[bool]:
    changes = []
    for success in outcomes:
        generation = breaker.admit(now)
        assert generation is not None
        changes.append(breaker.record(generation, now, success=success))
    return changes


def open_breaker(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(failures=3, open_seconds=30.0)
    assert record_all(breaker, False, False, False, now=now) == [False, False, True]
    return breaker


def test_failures_in_a_row_open_the_breaker() -> None:
    breaker = open_breaker()
    assert breaker.state == "open"
    assert breaker.admit(0.0) is None
    assert breaker.admit(29.9) is None


def test_failures_that_are_not_in_a_row_do_not_open_it() -> None:
    breaker = CircuitBreaker(failures=3, open_seconds=30.0)
    assert not any(record_all(breaker, *[False, False, True] * 5))
    assert breaker.state == "closed"


def test_after_the_open_time_one_trial_is_admitted() -> None:
    breaker = open_breaker(now=100.0)
    assert breaker.admit(129.0) is None
    assert breaker.admit(130.0) is not None
    assert breaker.state == "half_open"
    assert breaker.admit(130.0) is None
    assert breaker.admit(1000.0) is None


def test_a_successful_trial_closes_the_breaker_and_resets_the_count() -> None:
    breaker = open_breaker()
    assert record_all(breaker, True, now=30.0) == [True]
    assert breaker.state == "closed"
    assert record_all(breaker, False, False, now=30.0) == [False, False]
    assert breaker.state == "closed"


def test_a_failed_trial_opens_the_breaker_again() -> None:
    breaker = open_breaker()
    assert record_all(breaker, False, now=30.0) == [True]
    assert breaker.state == "open"
    assert breaker.admit(59.0) is None
    assert breaker.admit(60.0) is not None


@pytest.mark.parametrize("success", [True, False])
def test_results_of_lookups_admitted_before_a_change_are_ignored(success: bool) -> None:
    breaker = CircuitBreaker(failures=3, open_seconds=30.0)
    early = breaker.admit(0.0)
    assert early is not None
    record_all(breaker, False, False, False)
    assert not breaker.record(early, 0.0, success=success)
    assert breaker.admit(29.0) is None
    assert breaker.admit(30.0) is not None
    assert not breaker.record(early, 30.0, success=success)
    assert breaker.state == "half_open"
