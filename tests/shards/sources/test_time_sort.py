"""Sorting by time, in memory and in temporary files."""

import errno
import random
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from shards.errors import PathError
from shards.sources import time_sort
from shards.sources.recorded_event import RecordedEvent
from shards.sources.time_sort import TimeSorter
from tests.support.recordings import recording, seconds_of

IN_MEMORY, A_RUN_EACH, SOME_RUNS = 1 << 30, 1, 20_000


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def places(events: Iterator[RecordedEvent]) -> list[str]:
    return [event.place for event in events]


@pytest.mark.parametrize("run_bytes", [IN_MEMORY, A_RUN_EACH, SOME_RUNS])
def test_events_come_in_the_order_of_their_times_and_else_in_their_own(run_bytes: int) -> None:
    seconds = [random.Random(5).choice([*range(40), None]) for _ in range(300)]
    carried, times = -1, []
    for time in seconds:
        carried = carried if time is None else time
        times.append(carried)
    order = sorted(range(300), key=times.__getitem__)
    events = list(TimeSorter(run_bytes).sort(recording(*seconds)))
    assert seconds_of(events) == [seconds[number] for number in order]
    assert [event.line for event in events] == [number + 1 for number in order]


@pytest.mark.parametrize("name", ["файл", "a\udcff", "\ud800"])
def test_the_name_of_a_recording_may_be_any_text(name: str) -> None:
    [event] = recording(1)
    event.file = name
    [sorted_event, _] = TimeSorter(A_RUN_EACH).sort([event, event])
    assert sorted_event.file == name


def test_full_levels_of_runs_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_sort, "_MOST_RUNS", 3)
    open_files, most = open_descriptors(), 0
    seconds = [float(second % 7) for second in range(100)]

    def watched() -> Iterator[RecordedEvent]:
        nonlocal most
        for event in recording(*seconds):
            most = max(most, len(open_descriptors() - open_files))
            yield event

    events = list(TimeSorter(A_RUN_EACH).sort(watched()))
    assert seconds_of(events) == sorted(seconds)
    for earlier, later in pairwise(events):
        assert earlier.time != later.time or earlier.line < later.line
    assert 2 < most <= 2 * 5 + 1
    assert open_descriptors() == open_files


def test_files_lines_and_columns_survive_the_spill() -> None:
    def both() -> Iterator[RecordedEvent]:
        yield from recording(3, 1, name="b")
        yield from recording(2, 0, name="a")

    events = list(TimeSorter(A_RUN_EACH).sort(both()))
    assert places(iter(events)) == ["a, line 2", "b, line 2", "a, line 1", "b, line 1"]
    assert all(event.key is not None for event in events)


def test_an_abandoned_sort_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    open_files = open_descriptors()
    events = TimeSorter(A_RUN_EACH).sort(recording(*range(10)))
    next(events)
    assert list(tmp_path.iterdir()) == []
    events.close()  # type: ignore[attr-defined]
    assert open_descriptors() == open_files


def test_what_could_be_read_before_a_failure_is_sorted_and_given() -> None:
    def failing() -> Iterator[RecordedEvent]:
        yield from recording(2, 1)
        raise PathError("cut")

    events = TimeSorter(A_RUN_EACH).sort(failing())
    assert seconds_of([next(events), next(events)]) == [1, 2]
    with pytest.raises(PathError, match="cut"):
        next(events)


def test_a_full_temporary_folder_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(time_sort, "TemporaryFile", full)
    events = TimeSorter(A_RUN_EACH).sort(recording(1, 2))
    with pytest.raises(PathError, match=r"temporary folder \(TMPDIR\): No space left on device"):
        next(events)
