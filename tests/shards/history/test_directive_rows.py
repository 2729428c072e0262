"""Directives with what the history knows of each: order, kinds, counts, sparklines."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.history import database
from shards.history.alarm_rows import WrittenLine, write_alarms
from shards.history.directive_rows import (
    DirectiveFilter,
    DirectivePage,
    LiveCounts,
    config_of_directives,
    list_directives,
    name_of_directive,
    replace_directives,
)
from shards.ipc.queries import DirectiveRow
from tests.support.history import NOW, about, alarm_line

LIVE = LiveCounts({2: 5, 3: 1}, {1: 9, 4: 2})


@pytest.fixture
def history(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Directives 1 to 4, of which 1 has made 2 alarms, 2 has made 20, and 3 one of yesterday."""
    connection = database.open_history(tmp_path / "h")
    names = {1: "SSH brute force", 2: "Port scan", 3: "Malware", 4: "DNS tunnel"}
    rows = [
        (id_ % 2, DirectiveRow(id_, name, "Recon", "Misc", 3, 2)) for id_, name in names.items()
    ]
    replace_directives(connection, rows, "first")
    for directive, number, created in ((1, 2, NOW - 4000), (2, 20, NOW), (3, 1, NOW - 90_000)):
        ids = [f"{directive}-{i}" for i in range(number)]
        lines = [WrittenLine(alarm_line(id_, created_time=created), NOW) for id_ in ids]
        write_alarms(connection, lines, {id_: about(directive) for id_ in ids})
    yield connection
    connection.close()


def page(history: sqlite3.Connection, live: LiveCounts = LIVE, **wanted: Any) -> DirectivePage:
    return list_directives(history, DirectiveFilter(**wanted), live, NOW)


def ids(history: sqlite3.Connection, **wanted: Any) -> list[int]:
    return [one.id for one in page(history, **wanted).directives]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [2, 1, 3, 4]),
        ({"reverse": True}, [4, 3, 1, 2]),
        ({"sort": "id"}, [1, 2, 3, 4]),
        ({"sort": "id", "reverse": True}, [4, 3, 2, 1]),
        ({"sort": "name"}, [4, 3, 2, 1]),
        ({"sort": "matches"}, [1, 4, 2, 3]),
        ({"sort": "backlogs"}, [2, 3, 1, 4]),
        ({"sort": "last_fired"}, [2, 1, 3, 4]),
        ({"kind": "fired"}, [2, 1, 3]),
        ({"kind": "never"}, [4]),
        ({"kind": "noisy"}, [2]),
        ({"kind": "open"}, [2, 3]),
        ({"text": "SCAN"}, [2]),
        ({"text": "recon force"}, [1]),
        ({"text": "%"}, []),
        ({"text": "3"}, [3]),
        ({"start": 1, "limit": 2}, [1, 3]),
        ({"ids": (4, 1)}, [1, 4]),
    ],
)
def test_order_and_filters(
    history: sqlite3.Connection, wanted: dict[str, Any], expected: list[int]
) -> None:
    assert ids(history, **wanted) == expected


def test_what_a_directive_has_done(history: sqlite3.Connection) -> None:
    two, one, *_ = page(history).directives
    assert (two.alarms_hour, two.alarms_day, two.last_fired, two.noisy) == (20, 20, NOW, True)
    assert (two.backlogs, two.matches, two.worker) == (5, 0, 0)
    assert (one.alarms_hour, one.alarms_day, one.last_fired) == (0, 2, NOW - 4000)
    assert two.spark == [0] * 23 + [20]
    assert one.spark == [0] * 22 + [2, 0]


def test_kinds_are_counted_without_the_filter_by_kind(history: sqlite3.Connection) -> None:
    found = page(history, kind="never")
    assert found.kinds == {"all": 4, "fired": 3, "never": 1, "noisy": 1, "open": 2}
    assert found.total == 1


def test_what_is_not_counted_or_not_answered_is_none(history: sqlite3.Connection) -> None:
    found = page(history, LiveCounts({}, None, (1,)), sort="id").directives
    assert [one.matches for one in found] == [None] * 4
    assert [one.backlogs for one in found] == [None, 0, None, 0]


def test_directives_of_another_configuration_replace_those_before(
    history: sqlite3.Connection,
) -> None:
    replace_directives(history, [(0, DirectiveRow(9, "New", "k", "c", 1, 1))], "second")
    assert ids(history) == [9]
    assert config_of_directives(history) == "second"
    assert (name_of_directive(history, 9), name_of_directive(history, 1)) == ("New", "")
    assert name_of_directive(history, None) == ""
