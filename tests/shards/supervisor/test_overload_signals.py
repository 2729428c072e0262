"""The overload signals to the frontend: when they start and when they end."""

from shards.supervisor.overload_signals import OverloadDetector


def test_one_signal_is_sent_for_any_number_of_late_events() -> None:
    overload = OverloadDetector(10)
    assert overload.report_late(100.0)
    assert not overload.report_late(100.0)
    assert not overload.report_late(105.0)


def test_it_is_over_once_none_was_late_for_the_hold_duration() -> None:
    overload = OverloadDetector(10)
    overload.report_late(100.0)
    overload.report_late(104.0)
    assert not overload.ends(113.9)
    assert overload.ends(114.0)
    assert not overload.ends(200.0)


def test_it_can_begin_again() -> None:
    overload = OverloadDetector(10)
    overload.report_late(100.0)
    assert overload.ends(110.0)
    assert overload.report_late(110.0)
    assert overload.ends(120.0)


def test_nothing_is_over_that_has_not_begun() -> None:
    assert not OverloadDetector(0).ends(0.0)


def test_without_a_hold_duration_it_is_over_at_once() -> None:
    overload = OverloadDetector(0)
    assert overload.report_late(5.0)
    assert overload.ends(5.0)
