"""Alarms that wait for another second."""

from engine.correlation.pending_lines import PendingLines


def test_what_changed_is_written_in_another_second_and_once() -> None:
    lines: PendingLines[str] = PendingLines()
    lines.add("a", 10)
    lines.add("a", 10)
    assert not lines.is_due(10)
    assert lines.pop_due(10, 9) == []
    assert lines.is_due(11)
    assert lines.pop_due(11, 9) == ["a"]
    assert not lines.is_due(12)


def test_what_changes_after_it_was_written_waits_again() -> None:
    lines: PendingLines[str] = PendingLines()
    lines.add("a", 10)
    assert lines.pop_due(11, 9) == ["a"]
    lines.add("a")
    assert not lines.is_due(11)
    assert lines.pop_due(12, 9) == ["a"]


def test_a_clock_that_was_set_back_is_another_second_too() -> None:
    lines: PendingLines[str] = PendingLines()
    lines.add("a", 10)
    assert lines.pop_due(5, 9) == ["a"]


def test_no_more_than_the_limit_at_a_time() -> None:
    lines: PendingLines[int] = PendingLines()
    for number in range(25):
        lines.add(number, 10)
    popped = []
    while lines.is_due(11):
        popped.append(lines.pop_due(11, 10))
    assert [len(some) for some in popped] == [10, 10, 5]
    assert sorted(number for some in popped for number in some) == list(range(25))


def test_what_was_written_otherwise_waits_no_more() -> None:
    lines: PendingLines[str] = PendingLines()
    lines.add("a", 10)
    lines.add("b", 10)
    assert "a" in lines
    lines.discard("a")
    lines.discard("unknown")
    assert "a" not in lines
    assert lines.pop_all() == ["b"]
    assert lines.pop_all() == []
