"""Delays before a restart, and when it is time to give up."""

import pytest

from shards.supervisor.restart_policy import RestartPolicy


@pytest.mark.parametrize(
    ("deaths", "delays"),
    [
        ([0], [0.1]),
        ([0, 1, 2, 3], [0.1, 0.2, 0.4, 0.8]),
        ([0, 1, 2, 3, 4], [0.1, 0.2, 0.4, 0.8, None]),
        ([0, 0, 0, 0, 0], [0.1, 0.2, 0.4, 0.8, None]),
        ([0, 1, 2, 3, 59.9], [0.1, 0.2, 0.4, 0.8, None]),
        ([0, 1, 2, 3, 60], [0.1, 0.2, 0.4, 0.8, 0.8]),
        ([0, 60, 120, 180, 240, 300], [0.1] * 6),
        ([0, 30, 60, 90, 120], [0.1, 0.2, 0.2, 0.2, 0.2]),
        ([0, 1, 100, 101, 102], [0.1, 0.2, 0.1, 0.2, 0.4]),
        ([0, 1, 2, 3, 100, 101, 102, 103, 104], [0.1, 0.2, 0.4, 0.8, 0.1, 0.2, 0.4, 0.8, None]),
    ],
)
def test_delays(deaths: list[float], delays: list[float | None]) -> None:
    restarts = RestartPolicy()
    assert [restarts.next_delay(1e6 + moment) for moment in deaths] == delays
