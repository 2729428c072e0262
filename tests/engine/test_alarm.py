"""Alarm ids, and hits in alarm records."""

import re

import pytest

from engine.alarm import MAX_ITEMS, AlarmRecord, Hit, alarm_id, directive_salt, with_hits

ALARM = AlarmRecord(
    *("id", "title", "Open", "tag", "k", "c"),
    1,
    1,
    1,
    "Low",
    rules=(),
    src_ips=(),
    dst_ips=(),
    networks=(),
)
HIT, OTHER = Hit("p", "192.0.2.1", "bad"), Hit("p", "192.0.2.2", "worse")


def test_an_id_has_9_characters_and_is_reproducible() -> None:
    ids = {alarm_id(directive_salt("node", 7) ^ number) for number in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{9}", one) for one in ids)
    assert alarm_id(directive_salt("node", 7) ^ 1) in ids


@pytest.mark.parametrize(
    ("node", "directive", "event"), [("n", 1, 2**64 - 1), ("n", 2, 5), ("m", 1, 5)]
)
def test_node_directive_and_event_make_an_id_differ(node: str, directive: int, event: int) -> None:
    assert alarm_id(directive_salt(node, directive) ^ event) != alarm_id(directive_salt("n", 1) ^ 5)


def test_hits_are_added_once_and_by_kind() -> None:
    first, _ = with_hits(ALARM, "intel", [HIT, HIT])
    assert first.intel_hits == (HIT,)
    both, left = with_hits(first, "intel", [HIT, OTHER])
    assert left == 0
    assert both.intel_hits == (HIT, OTHER)
    assert with_hits(both, "vuln", [HIT])[0].vulnerabilities == (HIT,)


def test_an_alarm_with_all_hits_is_the_same_object() -> None:
    alarm, _ = with_hits(ALARM, "intel", [HIT])
    assert with_hits(alarm, "intel", [HIT])[0] is alarm
    assert with_hits(ALARM, "vuln", [])[0] is ALARM


def test_hits_are_bounded_and_the_others_counted() -> None:
    hits = [Hit("p", "t", f"{number}") for number in range(MAX_ITEMS + 5)]
    alarm, left = with_hits(ALARM, "intel", hits)
    assert (len(alarm.intel_hits), left) == (MAX_ITEMS, 5)
    again, left = with_hits(alarm, "intel", hits[:3])
    assert (again is alarm, left) == (True, 0)
    assert with_hits(alarm, "intel", hits[-1:]) == (alarm, 1)
