"""The events of an alarm are found in the alarm events file, over rotations, within bounds."""

import json
import time
from pathlib import Path

import pytest

from shards.file_position import FilePosition, end_of_file
from shards.history import event_scan
from shards.history.event_scan import TakenEvents, scan_events

FOREVER = float("inf")
Positions = list[tuple[float, FilePosition]]


def line(alarm: str, event: str, stage: int = 1) -> bytes:
    fields = {"alarm_id": alarm, "stage": stage, "event_id": event}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


class EventsFile:
    """An alarm events file that grows, with the positions that the history would keep."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "siem_alarm_events.json"
        self.path.write_bytes(b"")
        self.positions: Positions = []
        self._now = 0.0

    def append(self, *lines: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(lines))

    def note_position(self) -> None:
        self._now += 10
        with self.path.open("rb") as file:
            self.positions.append((self._now, end_of_file(file.fileno())))

    def find(self, alarm: str, until: float = FOREVER) -> TakenEvents:
        return scan_events(self.path, alarm, self.positions, until)


@pytest.fixture
def events(tmp_path: Path) -> EventsFile:
    return EventsFile(tmp_path)


def ids(found: TakenEvents) -> list[str]:
    return [event.event_id for event in found.events]


def test_events_of_the_alarm_are_found_in_their_order(events: EventsFile) -> None:
    events.append(line("before", "x"), line("mine", "0"))
    events.note_position()
    events.append(line("mine", "1"), line("other", "2"), line("mine", "3", stage=2))
    found = events.find("mine")
    assert [(event.event_id, event.stage) for event in found.events] == [("1", 1), ("3", 2)]
    assert found.why == ""


def test_the_id_of_an_event_that_looks_like_the_alarm_is_not_one(events: EventsFile) -> None:
    events.note_position()
    events.append(line("other", "mine"), line("other", '"alarm_id":"mine"'), line("minemine", "1"))
    assert ids(events.find("mine")) == []


def test_the_time_of_a_line_is_that_of_the_first_position_after_it(events: EventsFile) -> None:
    events.note_position()
    events.append(line("mine", "1"))
    events.note_position()
    events.append(line("mine", "2"), line("mine", "3"))
    events.note_position()
    events.append(line("mine", "4"))
    written = [event.written for event in events.find("mine", 99.0).events]
    assert written == [20.0, 30.0, 30.0, 99.0]


def test_a_line_after_the_last_position_was_written_by_now(events: EventsFile) -> None:
    events.note_position()
    events.append(line("mine", "1"))
    [event] = events.find("mine").events
    assert 10.0 < event.written <= time.time()


def test_nothing_after_the_position_behind_the_last_line_is_read(events: EventsFile) -> None:
    events.note_position()
    events.append(line("mine", "1"))
    events.note_position()
    events.append(line("mine", "later"))
    assert ids(events.find("mine", until=15.0)) in (["1"], ["1", "later"])
    big = line("other", "x") * (2 * event_scan._CHUNK_BYTES // len(line("other", "x")))
    events.append(big, line("mine", "much later"))
    assert "much later" not in ids(events.find("mine", until=15.0))
    assert "much later" in ids(events.find("mine"))


def test_lines_over_the_borders_of_chunks_are_found(
    events: EventsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_scan, "_CHUNK_BYTES", 37)
    events.note_position()
    events.append(*(line("mine", str(i)) for i in range(50)))
    assert ids(events.find("mine")) == [str(i) for i in range(50)]


def test_events_are_found_over_rotations(events: EventsFile) -> None:
    events.append(line("other", "x") * 30)
    events.note_position()
    for number in range(3):
        events.append(line("mine", str(number)))
        events.path.rename(f"{events.path}.{number}")
        events.path.write_bytes(b"")
    events.append(line("mine", "3"))
    assert sorted(ids(events.find("mine"))) == ["0", "1", "2", "3"]
    assert ids(events.find("mine"))[0] == "0"


def test_a_file_that_rotation_has_taken_away_is_said(events: EventsFile) -> None:
    events.append(line("other", "x"))
    events.note_position()
    events.append(line("mine", "1"))
    events.path.unlink()
    events.path.write_bytes(line("mine", "2"))
    found = events.find("mine")
    assert "rotation has taken away" in found.why


def test_without_a_position_nothing_is_read(events: EventsFile) -> None:
    events.append(line("mine", "1"))
    assert events.find("mine") == TakenEvents([], "the history does not know where its events are")


def test_events_and_bytes_have_a_bound(events: EventsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    events.note_position()
    events.append(*(line("mine", str(i)) for i in range(100)))
    monkeypatch.setattr(event_scan, "MAX_EVENTS", 10)
    found = events.find("mine")
    assert (len(found.events), found.why) == (10, "there are too many events to look at")
    monkeypatch.setattr(event_scan, "MAX_EVENTS", 1000)
    monkeypatch.setattr(event_scan, "_CHUNK_BYTES", 1000)
    monkeypatch.setattr(event_scan, "MAX_SCAN_BYTES", 2000)
    found = events.find("mine")
    assert 0 < len(found.events) < 100
    assert found.why == "there are too many events to look at"


def test_lines_of_other_programs_and_torn_lines_are_left_out(events: EventsFile) -> None:
    events.note_position()
    events.append(b'{"alarm_id":"mine"}\n', b"\xff\xfe\n", b"x" * 200_000 + b"\n")
    events.append(line("mine", "1"), line("mine", "torn")[:-5])
    assert ids(events.find("mine")) == ["1"]
