"""The events of a test, as if they had been recorded."""

import heapq
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from shards.directive_tests.loader import LoadedTest
from shards.directive_tests.test_file import EVENT_FIELDS, NUMBER, START, parse_duration
from shards.directive_tests.yaml_document import Position
from shards.errors import PathError
from shards.sources.future_limit import limit_future
from shards.sources.recorded_event import RecordedEvent, decode_recorded_event
from shards.sources.recorded_file import RecordedFile

_SENSOR = "test"
_NUMBERS = re.compile(r"\{\{n\}\}|\{n\}")
_LAST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
"""The last time that an event may have."""


def escape_number(text: str) -> str:
    """A text that stands for this one in a test, with its `{n}` as they are."""
    return text.replace(NUMBER, "{" + NUMBER + "}")


def insert_number(text: str, number: int) -> str:
    """A text of a test with the number for `{n}`, and `{n}` for `{{n}}`."""
    return _NUMBERS.sub(lambda found: str(number) if found[0] == NUMBER else NUMBER, text)


class RecordingError(PathError):
    """A file of recorded events cannot be read; `position`: where the test names it."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


class TestEvents:
    """The events of one test, made while they are read: there may be millions."""

    def __init__(self, loaded: LoadedTest, max_future: int) -> None:
        """`max_future` as for replay. RecordingError if a file cannot be read."""
        self._loaded = loaded
        self._max_future = max_future
        self._files = {
            number: self._open(number, loaded.file.parent / step.file)
            for number, step in enumerate(loaded.test.events)
            if step.file
        }
        self._start = self._first_time()

    def __iter__(self) -> Iterator[RecordedEvent]:
        """The events; RecordingError if a file cannot be read to its end."""
        sequences = [self._of_step(number) for number in range(len(self._loaded.test.events))]
        if self._loaded.test.order == "listed":
            return chain.from_iterable(sequences)
        return heapq.merge(*sequences, key=_time_of)

    def _first_time(self) -> int:
        """From when `at` counts: the first recorded event, else a fixed time."""
        for number in self._files:
            for event in self._recorded(number):
                if event.time is not None:
                    return max(0, event.time)
        return START

    def _open(self, number: int, path: Path) -> RecordedFile:
        """The recorded file of a step, which must be one that can be read more than once."""
        try:
            return _recorded(path)
        except PathError as error:
            raise RecordingError(str(error), self._loaded.steps[number]) from error

    def _recorded(self, number: int) -> Iterator[RecordedEvent]:
        try:
            yield from self._files[number].events()
        except PathError as error:
            raise RecordingError(str(error), self._loaded.steps[number]) from error

    def _of_step(self, number: int) -> Iterator[RecordedEvent]:
        if number in self._files:
            return limit_future(self._recorded(number), self._max_future)
        return self._made(number)

    def _made(self, number: int) -> Iterator[RecordedEvent]:
        loaded, step = self._loaded, self._loaded.test.events[number]
        line, column = loaded.steps[number]
        content = self._values(number)
        numbered = [
            name for name, value in content.items() if isinstance(value, str) and NUMBER in value
        ]
        first, every = self._start + parse_duration(step.at), parse_duration(step.every)
        for repeat in range(step.repeat):
            time = datetime.fromtimestamp(min(first + repeat * every, _LAST), UTC)
            event = {
                "event_id": f"test-{number + 1}-{repeat + 1}",
                "timestamp": f"{time:%Y-%m-%dT%H:%M:%SZ}",
                **content,
                **{name: insert_number(content[name], repeat + 1) for name in numbered},
            }
            raw = msgspec.json.encode(event)
            yield decode_recorded_event(str(loaded.file), raw, line, column)

    def _values(self, number: int) -> dict[str, Any]:
        """The values of the events of a step, defaults included."""
        given = msgspec.to_builtins(self._loaded.test.events[number])
        own = {name: value for name, value in given.items() if name in EVENT_FIELDS}
        return {"sensor": _SENSOR, **self._loaded.defaults, **own}


def _recorded(path: Path) -> RecordedFile:
    """A file that can be read more than once: PathError for pipes and devices."""
    file = RecordedFile(str(path))
    if file.is_stream or not path.is_file():
        raise PathError(f"{path} is no file")
    return file


def _time_of(event: RecordedEvent) -> int:
    return event.time if event.time is not None else 0
