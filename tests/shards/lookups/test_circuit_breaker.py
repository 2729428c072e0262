"""A circuit breaker, by its own clock."""

import pytest

from shards.lookups.circuit_breaker import CircuitBreaker


def reported(breaker: CircuitBreaker, *outcomes: bool, now: float = 0.0) -> list[bool]:
    changes = []
    for well in outcomes:
        ticket = breaker.admit(now)
        assert ticket is not None
        changes.append(breaker.report(ticket, now, well=well))
    return changes


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(failures=3, rest=30.0)
    assert reported(breaker, False, False, False, now=now) == [False, False, True]
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = opened()
    assert (breaker.state, breaker.opened) == ("open", 1)
    assert breaker.admit(0.0) is None
    assert breaker.admit(29.9) is None


def test_failures_that_are_not_in_a_row_do_not() -> None:
    breaker = CircuitBreaker(failures=3, rest=30.0)
    assert not any(reported(breaker, *[False, False, True] * 5))
    assert (breaker.state, breaker.opened) == ("closed", 0)


def test_after_a_rest_one_is_let_through() -> None:
    breaker = opened(now=100.0)
    assert breaker.admit(129.0) is None
    assert breaker.admit(130.0) is not None
    assert breaker.state == "half_open"
    assert breaker.admit(130.0) is None
    assert breaker.admit(1000.0) is None


def test_when_it_does_well_the_breaker_closes_and_counts_anew() -> None:
    breaker = opened()
    assert reported(breaker, True, now=30.0) == [True]
    assert breaker.state == "closed"
    assert reported(breaker, False, False, now=30.0) == [False, False]
    assert breaker.state == "closed"


def test_when_it_fails_the_breaker_rests_again() -> None:
    breaker = opened()
    assert reported(breaker, False, now=30.0) == [True]
    assert (breaker.state, breaker.opened) == ("open", 2)
    assert breaker.admit(59.0) is None
    assert breaker.admit(60.0) is not None


@pytest.mark.parametrize("well", [True, False])
def test_what_was_let_through_before_says_nothing_any_more(well: bool) -> None:
    breaker = CircuitBreaker(failures=3, rest=30.0)
    early = breaker.admit(0.0)
    assert early is not None
    reported(breaker, False, False, False)
    assert not breaker.report(early, 0.0, well=well)
    assert breaker.admit(29.0) is None
    assert breaker.admit(30.0) is not None
    assert not breaker.report(early, 30.0, well=well)
    assert breaker.state == "half_open"
