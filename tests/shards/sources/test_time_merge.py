"""Merging recordings by time."""

from collections.abc import Generator

from shards.sources.recorded_event import RecordedEvent
from shards.sources.time_merge import merge_by_time, reopened_after_first
from tests.support.recordings import recording, seconds_of


def test_events_come_in_the_order_of_their_times() -> None:
    merged = merge_by_time([recording(0, 5, 9), recording(), recording(1, 2, 6)])
    assert seconds_of(merged) == [0, 1, 2, 5, 6, 9]


def test_of_equal_times_the_earlier_recording_comes_first() -> None:
    merged = merge_by_time([recording(0, 1, 1, name="a"), recording(0, 1, name="b")])
    assert "".join(event.file for event in merged) == "abaab"


def test_an_event_without_a_time_stays_behind_the_one_before_it() -> None:
    merged = list(merge_by_time([recording(None, 3, None, 5), recording(1, 3, 4, name="b")]))
    assert seconds_of(merged) == [None, 1, 3, None, 3, 4, 5]


def test_a_file_is_open_only_from_its_first_event_to_its_end() -> None:
    is_open = 0
    most = 0

    def day(number: int) -> Generator[RecordedEvent, None, None]:
        nonlocal is_open, most
        is_open += 1
        most = max(most, is_open)
        try:
            yield from recording(*range(number * 10, number * 10 + 9))
        finally:
            is_open -= 1

    merged = merge_by_time([reopened_after_first(lambda n=n: day(n)) for n in range(100)])  # type: ignore[misc]
    assert seconds_of(merged) == [ten * 10 + one for ten in range(100) for one in range(9)]
    assert (most, is_open) == (1, 0)


def test_a_file_without_events_is_no_recording() -> None:
    def empty() -> Generator[RecordedEvent, None, None]:
        yield from ()

    assert list(reopened_after_first(empty)) == []
