"""Wrong clocks in a recording: told from pauses by the events around them."""

from collections.abc import Iterator

import pytest

from shards.errors import PathError
from shards.sources import future_limit
from shards.sources.future_limit import limit_future
from shards.sources.recorded_event import RecordedEvent
from tests.support.recordings import recorded, recording, seconds_of

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400


def limited(*seconds: float | None, max_future: int = 60) -> list[int | None]:
    return seconds_of(limit_future(recording(*seconds), max_future))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], []),
        ([5], [5]),
        ([0, 60, 120], [0, 60, 120]),
        ([0, YEAR, 5], [0, 0, 5]),
        ([0, 10, YEAR, 12, YEAR + 1, 13], [0, 10, 10, 12, 12, 13]),
        ([0, 10, YEAR, 12, 5, 13], [0, 10, 10, 12, 5, 13]),
        ([0, 10, HOUR, *range(11, 120)], [0, 10, 10, *range(11, 120)]),
        ([YEAR, 0, 1, 2], [0, 0, 1, 2]),
        ([YEAR, YEAR + 1, None, 0, 1, 2, 3], [0, 0, None, 0, 1, 2, 3]),
        ([0, None, YEAR, None, 1, 2], [0, None, 0, None, 1, 2]),
        ([0, YEAR], [0, 0]),
        ([0, YEAR, None], [0, 0, None]),
    ],
)
def test_a_wrong_clock_gets_the_time_of_the_clock(
    seconds: list[float | None], expected: list[int | None]
) -> None:
    assert limited(*seconds) == expected


@pytest.mark.parametrize(
    "seconds",
    [
        [0, 61],
        [0, DAY],
        [0, 1, 8 * HOUR, 8 * HOUR + 1, 8 * HOUR + 2],
        [0, 1, YEAR, YEAR + 1],
        [0, 1, 8 * HOUR, 2, 8 * HOUR + 1, 8 * HOUR + 2],
        list(range(0, 100 * HOUR, HOUR)),
        [1000, 950, 0],
        [0, 400, 0],
        [0, 10, HOUR, *range(11, 100)],
    ],
)
def test_a_pause_or_little_evidence_is_no_wrong_clock(seconds: list[float]) -> None:
    assert limited(*seconds) == seconds


def test_an_event_is_marked_if_and_only_if_its_time_was_replaced() -> None:
    events = limit_future(recording(0, YEAR, 5, 6), 60)
    assert [event.from_future for event in events] == [False, True, False, False]


def test_a_burst_of_wrong_clocks_does_not_move_the_clock() -> None:
    before, after = list(range(50)), [50] * 150
    burst = [YEAR + number for number in range(90)]
    assert limited(*before, *burst, *after) == [*before, *[49] * 90, *after]


def test_a_sensor_that_is_ahead_in_two_of_five_events_does_not_move_the_clock() -> None:
    seconds = [number + (HOUR if number % 5 in (1, 3) else 0) for number in range(1000)]
    times = limited(*seconds)[:-100]  # which have too few events after them
    assert max(time for time in times if time is not None) < 1000


def test_0_is_no_limit() -> None:
    assert limited(0, YEAR, 1, max_future=0) == [0, YEAR, 1]


def test_it_reads_few_events_and_few_bytes_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def many(seconds: float) -> Iterator[RecordedEvent]:
        nonlocal read
        yield recorded(0)
        for _ in range(10_000):
            read += 1
            yield recorded(seconds)

    next(events := limit_future(many(YEAR), 60))
    next(events)
    assert 0 < read <= future_limit._NEIGHBOURS
    monkeypatch.setattr(future_limit, "_MAX_BYTES", 10 * len(recorded(0).raw))
    read = 0
    next(limit_future(many(0), 60))
    assert 0 < read <= 11


def test_the_first_event_of_a_slow_stream_waits_for_two() -> None:
    def slow(*seconds: float) -> Iterator[RecordedEvent]:
        yield from recording(*seconds)
        raise AssertionError("it would wait")

    for seconds, first in (([0, 1, 2], 0), ([YEAR, 1, 2], 1), ([YEAR, YEAR, 1], YEAR)):
        assert seconds_of([next(limit_future(slow(*seconds), 60, is_slow=True))]) == [first]


def test_what_was_read_ahead_of_a_failure_is_given_before_it() -> None:
    def failing() -> Iterator[RecordedEvent]:
        yield from recording(0, YEAR, 1, 2)
        raise PathError("cut")

    events = limit_future(failing(), 60)
    assert seconds_of([next(events) for _ in range(4)]) == [0, 0, 1, 2]
    with pytest.raises(PathError, match="cut"):
        next(events)
