"""What the history answers about alarms: filters, pages, groups, counts over time."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from shards.history import alarm_queries, database
from shards.history.alarm_filter import AlarmFilter, add_functions
from shards.history.alarm_groups import alarm_timeline, group_alarms
from shards.history.alarm_queries import get_alarm, list_alarms
from shards.history.alarm_rows import WrittenLine, write_alarms
from shards.history.directive_rows import replace_directives
from shards.ipc.queries import Address, AlarmAbout, DirectiveRow
from tests.support.history import NOW, about, alarm_line


@pytest.fixture
def history(tmp_path: Any) -> Iterator[sqlite3.Connection]:
    connection = database.open_history(tmp_path / "h")
    add_functions(connection)
    yield connection
    connection.close()


def write(
    history: sqlite3.Connection, *lines: bytes, details: dict[str, AlarmAbout] | None = None
) -> None:
    write_alarms(history, [WrittenLine(line, NOW) for line in lines], details or {})


def found(history: sqlite3.Connection, **wanted: Any) -> list[str]:
    return [alarm.id for alarm in list_alarms(history, AlarmFilter(**wanted), 100).alarms]


def test_pages_follow_each_other_without_gap_or_overlap(history: sqlite3.Connection) -> None:
    write(history, *(alarm_line(f"a{i}") for i in range(25)))
    before, ids, pages = None, [], 0
    while True:
        page = list_alarms(history, AlarmFilter(), 10, before=before)
        ids += [alarm.id for alarm in page.alarms]
        pages += 1
        if page.next is None:
            break
        before = int(page.next)
    assert (ids, pages) == ([f"a{i}" for i in range(24, -1, -1)], 3)


def test_only_what_has_changed_after_a_sequence_is_given(history: sqlite3.Connection) -> None:
    write(history, alarm_line("a"), alarm_line("b"))
    newest = list_alarms(history, AlarmFilter(), 1).alarms[0].sequence
    write(history, alarm_line("a"), alarm_line("c"))
    page = list_alarms(history, AlarmFilter(), 100, after=newest)
    assert [alarm.id for alarm in page.alarms] == ["c", "a"]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"text": "brute"}, ["ssh"]),
        ({"text": "BRUTE  force"}, ["ssh"]),
        ({"text": "brute scan"}, []),
        ({"text": "gateway"}, ["ssh"]),
        ({"text": "192.0.2.7"}, ["ssh"]),
        ({"text": "scan"}, ["scan"]),
        ({"text": "100%_"}, ["scan"]),
        ({"text": "\\"}, []),
        ({"text": "alice"}, ["scan"]),
        ({"text": "' OR 1=1 --"}, []),
        ({"risks": ("High",)}, ["scan"]),
        ({"risks": ("High", "Medium")}, ["scan", "ssh"]),
        ({"states": ("finished",)}, ["scan"]),
        ({"directives": (7, 9)}, ["ssh"]),
        ({"address": "10.0.0.1"}, ["ssh"]),
        ({"address": "10.0.0.0/8"}, ["scan", "ssh"]),
        ({"address": "10.0.0.0/30"}, ["ssh"]),
        ({"address": "192.0.2.7"}, ["ssh"]),
        ({"source": "192.0.2.7"}, []),
        ({"address": "2001:db8::/32"}, ["scan"]),
        ({"address": "2001:DB8:0::7"}, ["scan"]),
        ({"since": NOW + 50.0}, ["scan"]),
        ({"until": NOW + 50.0}, ["ssh"]),
        ({"text": "ssh", "risks": ("High",)}, []),
    ],
)
def test_filters(history: sqlite3.Connection, wanted: dict[str, Any], ids: list[str]) -> None:
    later: dict[str, Any] = {
        "update_time": NOW + 100,
        "risk": 9,
        "risk_class": "High",
        "finished": 3,
    }
    scan: dict[str, Any] = {
        "title": "Port scan of 100%_ hosts",
        "src_ips": ["10.0.9.9", "2001:db8::7"],
        "dst_ips": ["198.51.100.1"],
        "custom_data": [{"label": "user", "content": "Alice"}],
    }
    write(
        history,
        alarm_line("ssh"),
        alarm_line("scan", **later | scan),
        details={"ssh": about(7, _10_0_0_1="Gateway")},
    )
    assert found(history, **wanted) == ids


@pytest.mark.parametrize(
    "text", ["10.0.0", "x", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "fe80::1%eth0"]
)
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no IP address or network like"):
        AlarmFilter(address=text).conditions()


def test_totals_are_capped_and_risks_are_counted_without_their_filter(
    history: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_queries, "MAX_COUNTED", 5)
    lines = [alarm_line(f"a{i}", risk_class="High" if i < 3 else "Low") for i in range(10)]
    write(history, *lines)
    page = list_alarms(history, AlarmFilter(risks=("High",)), 2)
    assert (page.total, page.total_capped) == (3, False)
    assert page.risks == {"Low": 5, "Medium": 0, "High": 3}
    page = list_alarms(history, AlarmFilter(), 2)
    assert (page.total, page.total_capped) == (5, True)


def test_addresses_of_a_row_are_few_and_the_others_counted(history: sqlite3.Connection) -> None:
    addresses = [f"10.0.0.{i}" for i in range(1, 200)]
    write(history, alarm_line("a", src_ips=addresses), details={"a": about(1, _10_0_0_2="two")})
    [alarm] = list_alarms(history, AlarmFilter(), 1).alarms
    named = [Address("10.0.0.1", ""), Address("10.0.0.2", "two"), Address("10.0.0.3", "")]
    assert (alarm.src, alarm.src_count) == (named, 199)


def test_a_hostile_title_is_kept_as_it_is_but_not_as_long(history: sqlite3.Connection) -> None:
    title = "<img src=x onerror=alert(1)>\u202e\x1b[31m" + "x" * 64_000
    write(history, alarm_line("a", title=title))
    [alarm] = list_alarms(history, AlarmFilter(text="onerror"), 1).alarms
    assert alarm.title == title[:300]
    stored = get_alarm(history, "a")
    assert stored is not None
    assert title.split("\u202e", maxsplit=1)[0].encode() in stored.record


def test_groups_by_directive_have_names_counts_and_sparklines(history: sqlite3.Connection) -> None:
    replace_directives(history, [(0, DirectiveRow(7, "Brute force", "k", "c", 3, 2))], "x")
    write(
        history,
        alarm_line("a", created_time=NOW - 3600, risk=9, risk_class="High"),
        alarm_line("b", src_ips=["10.0.0.2"]),
        alarm_line("c"),
        details={"a": about(7), "b": about(7)},
    )
    groups = group_alarms(history, AlarmFilter(), "directive", 10, (NOW - 24 * 3600, NOW))
    first, second = groups.groups
    assert (first.key, first.name, first.alarms, first.High, first.Medium) == (
        *("7", "Brute force", 2),
        *(1, 1),
    )
    assert (first.risk, first.risk_class, first.sources) == (9, "High", 2)
    assert first.spark == [0] * 23 + [2]
    assert (second.key, second.name, second.alarms) == ("", "", 1)
    assert (groups.total, groups.total_capped) == (2, False)


def test_groups_by_source_have_the_names_of_assets(history: sqlite3.Connection) -> None:
    write(history, alarm_line("a"), details={"a": about(7, _10_0_0_1="web")})
    [group] = group_alarms(history, AlarmFilter(), "source", 10, (NOW - 60, NOW)).groups
    assert (group.key, group.name) == ("10.0.0.1", "web")


def test_the_timeline_counts_by_time_of_creation(history: sqlite3.Connection) -> None:
    write(
        history,
        alarm_line("a", created_time=NOW - 90),
        alarm_line("b", created_time=NOW),
        alarm_line("too early", created_time=NOW - 1000),
    )
    later = AlarmFilter(since=NOW + 5.0)  # of the last events, which are not those of the creation
    timeline = alarm_timeline(history, later, (NOW - 100, NOW), 10)
    assert (timeline.since, timeline.step) == (NOW - 100, 10.0)
    assert timeline.Medium == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert timeline.High == [0] * 10


def test_changes_are_the_first_and_the_last_ones(
    history: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_queries, "MAX_CHANGES", 3)
    write(history, *(alarm_line("a", risk=i) for i in range(6)))
    stored = get_alarm(history, "a")
    assert stored is not None
    assert [change.risk for change in stored.changes] == [0, 4, 5]


@pytest.mark.parametrize(
    ("statuses", "state", "stage"),
    [
        (["finished", "", ""], "open", 2),
        (["finished", "finished", "finished"], "finished", 3),
        (["finished", "timeout", ""], "timeout", 2),
    ],
)
def test_the_state_of_an_alarm_follows_from_its_rules(
    history: sqlite3.Connection, statuses: list[str], state: str, stage: int
) -> None:
    write(history, alarm_line("a", rules=[{"status": status} for status in statuses]))
    [alarm] = list_alarms(history, AlarmFilter(), 1).alarms
    assert (alarm.state, alarm.stage, alarm.stages) == (state, stage, 3)


def test_an_alarm_that_is_not_there_is_none(history: sqlite3.Connection) -> None:
    assert get_alarm(history, "nothing") is None
