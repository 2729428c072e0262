"""The summary of a replay: alarms counted once, rate, JSON, and the length of the table."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from engine.alarm import AlarmRecord, PublishedAlarm
from shards.commands.replay_summary import MAX_ROWS, AlarmTally, Summary, print_summary
from shards.ledger import Events, Ledger

ALARM = AlarmRecord(
    *("id", "title", "Open", "tag", "k", "c"),
    1,
    1,
    2,
    "Low",
    rules=(),
    src_ips=("192.0.2.1", "192.0.2.2", "192.0.2.3"),
    dst_ips=("10.0.0.5",),
    networks=(),
)


def published(alarm_id: str, risk: int, risk_class: str) -> PublishedAlarm:
    alarm = replace(ALARM, alarm_id=alarm_id, risk=risk, risk_class=risk_class)
    return PublishedAlarm((1, alarm_id), alarm)


def summary(alarms: AlarmTally, seconds: float = 2.0) -> Summary:
    ledger = Ledger(events=Events(received=100, routed=0, unmatched=100))
    return Summary(ledger, alarms, seconds, (Path("logs/siem_alarms.json"),))


def test_of_an_alarm_the_last_record_counts() -> None:
    tally = AlarmTally(keep=True)
    tally.add([published("a", 2, "Low"), published("b", 5, "Medium"), published("a", 8, "High")])
    assert tally.by_class == {"High": 1, "Medium": 1, "Low": 0}
    assert [(alarm.alarm_id, alarm.risk) for alarm in tally.records] == [("a", 8), ("b", 5)]


def test_the_rate_is_that_of_the_events_received() -> None:
    assert summary(AlarmTally(keep=False)).rate == 50
    assert summary(AlarmTally(keep=False), seconds=0).rate == 0


def test_json_has_counts_and_files() -> None:
    tally = AlarmTally(keep=False)
    tally.add([published("a", 2, "Low")])
    document = json.loads(msgspec.json.encode(summary(tally).as_document()))
    assert document["alarms"] == {"High": 0, "Medium": 0, "Low": 1}
    assert document["ledger"]["events"]["unmatched"] == 100
    assert (document["events_per_second"], document["files"]) == (50, ["logs/siem_alarms.json"])


def test_the_table_of_alarms_has_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    tally = AlarmTally(keep=True)
    tally.add(published(f"a{number}", 2, "Low") for number in range(MAX_ROWS + 7))
    print_summary(summary(tally))
    out = capsys.readouterr().out
    assert "… and 7 more, in logs/siem_alarms.json" in out
    assert out.count("192.0.2.1, 192.0.2.2 +1 more → 10.0.0.5") == MAX_ROWS
