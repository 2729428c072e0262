"""All recorded files of a replay as one sequence of events in the order of their times.

A file of its own, since it combines the others: reading, correcting clocks, merging and sorting.
"""

from collections.abc import Generator, Iterator, Sequence
from itertools import chain

from shards.sources.future_limit import limit_future
from shards.sources.recorded_event import RecordedEvent
from shards.sources.recorded_file import RecordedFile
from shards.sources.time_merge import merge_by_time, reopened_after_first
from shards.sources.time_sort import TimeSorter


def events_in_order(
    files: Sequence[RecordedFile], max_future: int, *, sort: bool
) -> Iterator[RecordedEvent]:
    """The events of all files; PathError if a file cannot be read to its end.

    One file is read as it is, several are merged by time, and with `sort` the order of the input
    does not matter. Wrong clocks are corrected by limit_future, for each file before it is merged:
    an event of next year at the beginning of a file would hold up all of it.
    """
    if sort:
        events = chain.from_iterable(file.events() for file in files)
        return limit_future(TimeSorter().sort(events), max_future)
    if len(files) == 1:
        return _limited(files[0], max_future)
    return merge_by_time([_mergeable(file, max_future) for file in files])


def _mergeable(file: RecordedFile, max_future: int) -> Iterator[RecordedEvent]:
    def read() -> Generator[RecordedEvent, None, None]:
        yield from _limited(file, max_future)

    return read() if file.is_stream else reopened_after_first(read)


def _limited(file: RecordedFile, max_future: int) -> Iterator[RecordedEvent]:
    return limit_future(file.events(), max_future, is_slow=file.is_stream)
