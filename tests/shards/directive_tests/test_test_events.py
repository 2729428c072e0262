"""The events of a test: their values, times, numbers and order."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.config.problem import ProblemList
from shards.directive_tests import test_events
from shards.directive_tests.loader import load_file
from shards.directive_tests.test_file import START
from shards.sources.recorded_event import RecordedEvent
from tests.support.replaying import AT_START, event, ndjson

KEY = "plugin_id: 1, plugin_sid: 1, src_ip: 192.0.2.1, dst_ip: 10.0.0.1"
"""What an event needs to be valid."""


def events_of(
    tmp_path: Path, steps: str, more: str = "", defaults: str = f"{{{KEY}}}"
) -> list[RecordedEvent]:
    """The events of a test, as they are made."""
    path = tmp_path / "a_test.yaml"
    test = f"{{name: a, events: [{steps}]{more}}}"
    path.write_text(f"defaults: {defaults}\ntests:\n  - {test}\n")
    problems = ProblemList()
    [loaded] = load_file(path, problems).tests
    assert problems.listed == []
    return list(test_events.TestEvents(loaded, 60))


def values(events: list[RecordedEvent], *names: str) -> list[tuple[Any, ...]]:
    decoded = [json.loads(one.raw) for one in events]
    return [tuple(one.get(name) for name in names) for one in decoded]


def test_an_event_has_what_each_event_needs(tmp_path: Path) -> None:
    [made] = events_of(tmp_path, "{}", defaults="{}")
    assert json.loads(made.raw) == {
        "event_id": "test-1-1",
        "timestamp": "2026-01-01T00:00:00Z",
        "sensor": "test",
    }
    assert (made.line, made.column) == (3, 24)


def test_values_of_a_step_come_before_the_defaults(tmp_path: Path) -> None:
    made = events_of(tmp_path, "{title: b}, {}", defaults="{title: a, sensor: c, src_port: 5}")
    assert values(made, "title", "sensor", "src_port") == [("b", "c", 5), ("a", "c", 5)]


def test_ids_and_times_can_be_given(tmp_path: Path) -> None:
    made = events_of(tmp_path, "{event_id: x, timestamp: '2026-05-01T00:00:00+02:00'}")
    assert values(made, "event_id", "timestamp") == [("x", "2026-05-01T00:00:00+02:00")]


@pytest.mark.parametrize(
    "value", ["yes", "NO", "on", "true", "1.10", "007", "0x1F", "10:20", "1_0"]
)
def test_texts_without_quotes_stay_as_they_are(value: str, tmp_path: Path) -> None:
    made = events_of(tmp_path, f"{{custom_data1: {value}}}")
    assert values(made, "custom_data1") == [(value,)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("0s", 0)],
)
def test_durations(text: str, seconds: int, tmp_path: Path) -> None:
    first, second = events_of(tmp_path, f"{{}}, {{at: {text}}}")
    assert (first.time, second.time) == (START, START + seconds)


def test_repeated_events_are_numbered(tmp_path: Path) -> None:
    made = events_of(tmp_path, "{title: 'a{n}, {n} {{n}} {m}', repeat: 3, every: 2s, at: 1m}")
    assert values(made, "title", "event_id", "timestamp") == [
        ("a1, 1 {n} {m}", "test-1-1", "2026-01-01T00:01:00Z"),
        ("a2, 2 {n} {m}", "test-1-2", "2026-01-01T00:01:02Z"),
        ("a3, 3 {n} {m}", "test-1-3", "2026-01-01T00:01:04Z"),
    ]
    assert values(events_of(tmp_path, "{title: '{n}'}"), "title") == [("1",)]


@given(st.text("{n}a", max_size=12))
def test_any_text_can_be_given_literally(text: str) -> None:
    assert test_events.insert_number(test_events.escape_number(text), 7) == text


def test_numbers_in_defaults(tmp_path: Path) -> None:
    made = events_of(tmp_path, "{repeat: 2}", defaults="{dst_port: '{n}'}")
    assert values(made, "dst_port") == [("1",), ("2",)]


STEPS = "{at: 5s, title: a, repeat: 3, every: 5s}, {at: 10s, title: b}, {title: c}"


def test_order(tmp_path: Path) -> None:
    in_time = values(events_of(tmp_path, STEPS), "title")
    assert in_time == [("c",), ("a",), ("a",), ("b",), ("a",)]
    listed = values(events_of(tmp_path, STEPS, ", order: listed"), "title")
    assert listed == [("a",), ("a",), ("a",), ("b",), ("c",)]


def test_times_count_from_the_first_recorded_event(tmp_path: Path) -> None:
    recorded = ndjson("{}", event("a", 0, 1), event("b", 20, 1))
    (tmp_path / "recorded.ndjson").write_bytes(recorded)
    made = events_of(tmp_path, "{at: 10s, title: x}, {file: recorded.ndjson}")
    times = [one.time and one.time - AT_START for one in made]
    assert times == [None, 0, 10, 20]
    assert made[1].place == f"{tmp_path}/recorded.ndjson, line 2"
