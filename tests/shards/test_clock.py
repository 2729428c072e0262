"""Wall time over steps of the system's clock, with clocks that the tests move."""

from collections.abc import Iterator

import pytest
from loguru import logger

from shards.clock import WallClock

DAY = 86_400


class Machine:
    """A machine on which time passes, and whose wall clock is set."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_800_000_000.75, 500.0
        self.clock = WallClock(lambda: self.wall, lambda: self.monotonic)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def now(self) -> int:
        return self.clock.now() - 1_800_000_000


@pytest.fixture
def steps() -> Iterator[list[float]]:
    """The seconds of each logged step."""
    found: list[float] = []
    handler = logger.add(lambda message: found.append(message.record["extra"]["seconds"]))
    yield found
    logger.remove(handler)


def test_time_passes() -> None:
    machine = Machine()
    assert machine.now() == 0
    machine.passes(0.25)
    assert machine.now() == 1
    machine.passes(100)
    assert machine.now() == 101


def test_a_step_is_followed_at_once_and_logged_once_forwards_and_back(steps: list[float]) -> None:
    machine = Machine()
    machine.wall += DAY
    assert [machine.now(), machine.now()] == [DAY, DAY]
    machine.passes(10)
    assert machine.now() == DAY + 10
    machine.wall -= DAY
    assert [machine.now(), machine.now()] == [10, 10]
    assert steps == [DAY, -DAY]


@pytest.mark.parametrize("step", [-0.9, 0.9])
def test_a_small_step_never_turns_time_back(step: float, steps: list[float]) -> None:
    machine = Machine()
    machine.passes(0.3)
    before = machine.now()
    machine.wall += step
    assert machine.now() == before
    assert steps == []


def test_small_steps_are_followed_when_they_add_up_to_a_second() -> None:
    machine = Machine()
    for _ in range(10):
        machine.wall += 0.5
        machine.now()
    assert machine.now() == 5
