"""All recordings of a replay as one sequence of events in the order of their times.

A file of its own, since it combines the others: reading, correcting clocks, merging and sorting.
"""

from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import Protocol

from shards.settings.schema import UsageError
from shards.settings.settings import Settings
from shards.sources.future_limit import limit_future
from shards.sources.recorded_event import RecordedEvent
from shards.sources.recorded_file import RecordedFile
from shards.sources.time_merge import merge_by_time, reopened_after_first
from shards.sources.time_sort import TimeSorter


class Recording(Protocol):
    """Recorded events: a file, or an index of Elasticsearch."""

    @property
    def name(self) -> str:
        """Its name, for people."""

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once."""

    @property
    def size(self) -> int:
        """How much there is to read, in any unit; 0 if that is unknown."""

    @property
    def position(self) -> int:
        """How much of it has been read."""

    @property
    def is_newest_first(self) -> bool:
        """Whether the events read so far go back in time far more often than forward."""

    def events(self) -> Iterator[RecordedEvent]:
        """All events, also invalid ones, from the first one on.

        PathError if they cannot be read to their end.
        """


def open_recordings(names: Sequence[str], settings: Settings) -> Sequence[Recording]:
    """The recordings of files, or of --elasticsearch; PathError if one cannot be read."""
    if settings.elasticsearch and names:
        raise UsageError(
            f"--elasticsearch (DSIEM_ELASTICSEARCH) is given and {names[0]}, should be one of them:"
            " an index or files"
        )
    if settings.elasticsearch:
        from shards.sources.elasticsearch import ElasticsearchEvents  # noqa: PLC0415 - its libraries are large

        return [ElasticsearchEvents(settings)]
    if not names:
        raise UsageError("there are no EVENTS: files should be given, or --elasticsearch")
    return [RecordedFile(name) for name in names]


def events_in_order(
    recordings: Sequence[Recording], max_future: int, *, sort: bool
) -> Iterator[RecordedEvent]:
    """The events of all recordings; PathError if one cannot be read to its end.

    One is read as it is, several are merged by time, and with `sort` the order of the input
    does not matter. Wrong clocks are corrected by limit_future, for each one before it is merged:
    an event of next year at the beginning of a file would hold up all of it.
    """
    if sort:
        events = chain.from_iterable(recording.events() for recording in recordings)
        return limit_future(TimeSorter().sort(events), max_future)
    if len(recordings) == 1:
        return _limited(recordings[0], max_future)
    return merge_by_time([_mergeable(recording, max_future) for recording in recordings])


def _mergeable(recording: Recording, max_future: int) -> Iterator[RecordedEvent]:
    def read() -> Generator[RecordedEvent, None, None]:
        yield from _limited(recording, max_future)

    return read() if recording.is_stream else reopened_after_first(read)


def _limited(recording: Recording, max_future: int) -> Iterator[RecordedEvent]:
    return limit_future(recording.events(), max_future, is_slow=recording.is_stream)
