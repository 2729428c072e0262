"""The heap of expiry times."""

from hypothesis import given
from hypothesis import strategies as st

from engine.asset import NetworkAssets
from engine.correlation.backlog import Backlog
from engine.correlation.compiled_directive import CompiledDirective
from engine.correlation.expiry import ExpiryQueue
from engine.directives.directive import Directive
from engine.options import Options

COMPILED = CompiledDirective(
    Directive(1, "d", "k", "c", 1, always_active=False, rules=()), NetworkAssets([]), Options()
)


def backlog(expires_at: int) -> Backlog:
    made = Backlog(COMPILED, 0)
    made.expires_at = expires_at
    return made


def test_what_expires_is_popped_once_earliest_first_and_at_its_second() -> None:
    expiry = ExpiryQueue()
    late, early, same = backlog(30), backlog(10), backlog(10)
    for one in (late, early, same):
        expiry.add(one)
    assert expiry.pop_expired(9) == []
    assert expiry.pop_expired(10) == [early, same]
    assert expiry.pop_expired(29) == []
    assert expiry.pop_expired(1000) == [late]
    assert expiry.pop_expired(1000) == []


def test_what_was_removed_does_not_expire_and_the_others_of_its_second_do() -> None:
    expiry = ExpiryQueue()
    gone, stays = backlog(10), backlog(10)
    expiry.add(gone)
    expiry.add(stays)
    expiry.remove(gone)
    assert expiry.pop_expired(10) == [stays]


def test_a_second_that_was_emptied_can_be_used_again() -> None:
    expiry = ExpiryQueue()
    first, second = backlog(10), backlog(10)
    expiry.add(first)
    expiry.remove(first)
    expiry.add(second)
    assert expiry.pop_expired(10) == [second]
    assert expiry.pop_expired(10) == []


def test_the_heap_grows_with_the_seconds_in_use_not_with_those_used_before() -> None:
    expiry = ExpiryQueue()
    for number in range(20_000):  # 100 seconds in use, each emptied and used again
        one = backlog(number % 100)
        expiry.add(one)
        expiry.remove(one)
    assert len(expiry._seconds) <= 2 * 100
    stays = backlog(-1)
    expiry.add(stays)
    for number in range(20_000):  # ever later seconds, two in use
        one = backlog(number)
        expiry.add(one)
        expiry.remove(one)
    assert len(expiry._seconds) <= 100
    assert expiry.pop_expired(10**6) == [stays]


def test_a_second_at_which_many_expire_is_popped_in_slices_in_order() -> None:
    expiry = ExpiryQueue()
    due = [backlog(second) for second in (10, 11) for _ in range(250)]
    for one in (*due, backlog(20)):
        expiry.add(one)
    popped = []
    while expiry.is_due(15):
        popped.append(expiry.pop_expired(15, 100))
    assert [len(some) for some in popped] == [100] * 5
    assert [one for some in popped for one in some] == due


def test_a_backlog_can_be_moved_to_another_second() -> None:
    expiry = ExpiryQueue()
    moved, stays = backlog(99), backlog(99)
    expiry.add(moved)
    expiry.add(stays)
    expiry.move(moved, 10)
    assert expiry.pop_expired(10) == [moved]
    assert expiry.pop_expired(99) == [stays]


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "pop"]), st.integers(-5, 5))))
def test_it_is_a_list_sorted_by_second(steps: list[tuple[str, int]]) -> None:
    expiry = ExpiryQueue()
    model: list[Backlog] = []
    for step, second in steps:
        if step == "add":
            model.append(backlog(second))
            expiry.add(model[-1])
        elif step == "remove" and model:
            expiry.remove(model.pop(second % len(model)))
        elif step == "pop":
            due = [one for one in model if one.expires_at <= second]
            assert expiry.pop_expired(second) == sorted(due, key=lambda one: one.expires_at)
            model = [one for one in model if one.expires_at > second]
