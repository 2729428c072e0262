"""The delay of small batches follows the CPU time that the process has used lately."""

import pytest

from shards.ipc.batch_delay import MAX_DELAY_SECONDS, BatchDelay


class Process:
    """The clocks of a process."""

    def __init__(self) -> None:
        self.now = self.cpu = 0.0

    def work(self, seconds: float, share: float) -> None:
        """Let time pass, of which the process uses a share."""
        self.now += seconds
        self.cpu += seconds * share


def delay_after(*periods: tuple[float, float]) -> float:
    process = Process()
    delay = BatchDelay(lambda: process.now, lambda: process.cpu)
    for seconds, share in periods:
        process.work(seconds, share)
        delay.seconds()
    return delay.seconds()


def test_nothing_waits_while_the_process_has_time_to_spare() -> None:
    assert delay_after() == 0
    assert delay_after((1.0, 0.0)) == delay_after((1.0, 0.1)) == 0


def test_a_busy_process_waits_longest() -> None:
    assert delay_after((1.0, 0.5)) == delay_after((1.0, 1.9)) == MAX_DELAY_SECONDS


def test_the_delay_grows_with_the_share() -> None:
    shares = (0.1, 0.2, 0.3, 0.4, 0.5)
    delays = [delay_after((1.0, share)) for share in shares]
    assert delays == sorted(set(delays))
    assert delay_after((1.0, 0.3)) == pytest.approx(MAX_DELAY_SECONDS / 2)


def test_it_follows_the_latest_tenth_of_a_second() -> None:
    assert delay_after((1.0, 1.0), (0.1, 0.0)) == 0
    assert delay_after((1.0, 0.0), (0.1, 1.0)) == MAX_DELAY_SECONDS
    assert delay_after((1.0, 0.0), (0.05, 1.0)) == 0  # too short to say
