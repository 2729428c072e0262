"""Figures with targets, and the measurement of CPU time."""

from collections.abc import Sequence

import pytest

from benchmarks.support.measure import Figure, Prepare, Work, calibrate, cpu_nanos, measure_cpu
from benchmarks.support.synthetic import EventGenerator


@pytest.mark.parametrize(
    ("value", "target", "at_least", "met"),
    [
        (3.0, 4.0, False, True),
        (5.0, 4.0, False, False),
        (5.0, 4.0, True, True),
        (3.0, 4.0, True, False),
        (4.0, 4.0, False, True),
        (4.0, 4.0, True, True),
        (4.0, None, False, None),
    ],
)
def test_a_target_is_a_minimum_or_a_maximum(
    value: float, target: float | None, at_least: bool, met: bool | None
) -> None:
    assert Figure("section", "name", value, "µs", target, at_least).met is met


def test_each_event_is_processed_once_after_one_set_up() -> None:
    set_ups = 0
    processed: list[bytes] = []

    def prepare(raws: Sequence[bytes]) -> Work:
        return lambda: processed.extend(raws)

    def set_up() -> Prepare:
        nonlocal set_ups
        set_ups += 1
        return prepare

    raws = [b"%d" % number for number in range(601)]
    assert cpu_nanos(set_up, raws) > 0
    assert (set_ups, processed) == (1, raws)


def test_the_calibration_measured_by_itself_is_about_one() -> None:
    raws = list(EventGenerator(1).stream(2000, 0.1))
    timing = measure_cpu(lambda: calibrate, raws, 3)
    assert timing.micros > 0
    assert 0.3 < timing.times_calibration < 3
