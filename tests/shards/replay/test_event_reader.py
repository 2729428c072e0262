"""Reading recorded files: the order, how it ends, and what becomes of invalid events."""

from pathlib import Path

import pytest

from engine.errors import InvalidEventError
from shards.errors import PathError
from shards.exit_codes import INTERRUPTED, INVALID
from shards.replay.event_reader import EventReader
from shards.settings.settings import Settings
from shards.sources.recorded_event import RecordedEvent
from tests.support.commands import write_events
from tests.support.replaying import LOGIN, event

EVENTS = [event(f"e{n}", n, LOGIN) for n in range(2500)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_event_is_passed_on_and_the_position_shown(capsys: pytest.CaptureFixture[str]) -> None:
    write_events(*EVENTS, name="events")
    reader = EventReader(["events"], Settings())
    lines: list[int] = []
    positions: list[int] = []
    reader.read(lambda event: lines.append(event.line), positions.append)
    assert lines == list(range(1, 2501))
    assert len(positions) == 3
    assert positions[-1] > 0
    assert (reader.stopped, reader.exit_code) == ("", 0)
    assert reader.position == reader.size == Path("events").stat().st_size
    assert capsys.readouterr().err == ""


def test_an_invalid_event_is_no_end() -> None:
    write_events(*EVENTS[:3], name="events")
    seen = []

    def process(event: RecordedEvent) -> None:
        seen.append(event.line)
        raise InvalidEventError("bad_type", "detail")

    reader = EventReader(["events"], Settings())
    reader.read(process, lambda _: None)
    assert seen == [1, 2, 3]
    assert reader.exit_code == 0


def test_an_interrupt_ends_the_reading() -> None:
    write_events(*EVENTS[:3], name="events")

    def process(event: RecordedEvent) -> None:
        if event.line == 2:
            raise KeyboardInterrupt

    reader = EventReader(["events"], Settings())
    reader.read(process, lambda _: None)
    assert (reader.stopped, reader.exit_code) == ("interrupted", INTERRUPTED)


def test_a_file_that_vanishes_ends_the_reading() -> None:
    write_events(*EVENTS[:3], name="events")
    reader = EventReader(["events"], Settings())
    Path("events").unlink()
    reader.read(lambda _: None, lambda _: None)
    assert reader.stopped.startswith("events cannot be read to its end: ")
    assert reader.exit_code == INVALID


def test_other_errors_of_the_function_are_its_own() -> None:
    write_events(*EVENTS[:3], name="events")

    def process(_: RecordedEvent) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        EventReader(["events"], Settings()).read(process, lambda _: None)


def test_a_missing_file_is_found_before_anything_is_read() -> None:
    write_events(*EVENTS[:3], name="events")
    with pytest.raises(PathError, match="none cannot be read"):
        EventReader(["events", "none"], Settings())
