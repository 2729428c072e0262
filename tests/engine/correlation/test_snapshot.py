"""Snapshots of backlogs: a restored backlog goes on as the original."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.correlation.backlog import Backlog
from engine.correlation.restoration import restore_backlog
from engine.correlation.snapshot import (
    BacklogSnapshot,
    UnusableBacklogError,
    take_snapshot,
)
from tests.support.directives import ASSETS, compiled, event, rule

COMPILED = compiled(
    rule(1), rule(2, from_=":1", occurrence=3, sticky_different="DST_PORT"), rule(3, to=":2")
)


def snapshot() -> BacklogSnapshot:
    backlog = Backlog(COMPILED, 4)
    first = event(1, "open", custom_data1="x")
    src, dst = ASSETS.address_info(first.src_ip), ASSETS.address_info(first.dst_ip)
    backlog.open(first, src, dst, 2000)
    backlog.set_expiry(2000)
    backlog.consume(backlog.stage, event(2, "a", dst_port=80), 2001)
    return take_snapshot(backlog)


def test_a_restored_backlog_has_the_same_snapshot() -> None:
    original = snapshot()
    assert take_snapshot(restore_backlog(COMPILED, 0, original)) == original


def test_a_snapshot_survives_encoding() -> None:
    original = snapshot()
    encoded = msgspec.json.encode(original)
    assert msgspec.json.decode(encoded, type=BacklogSnapshot) == original


def test_a_restored_backlog_goes_on_as_the_original() -> None:
    backlog = restore_backlog(COMPILED, 0, snapshot())
    outcomes = [
        backlog.consume(backlog.stage, event(2, id_, dst_port=port), 2002)
        for id_, port in (("b", 80), ("c", 81), ("d", 82))
    ]
    assert outcomes == ["sticky_seen", "taken", "finished"]


def test_of_several_sticky_values_each_is_restored() -> None:
    several = {"occurrence": 3, "sticky_different": "SRC_PORT,DST_PORT"}
    directive = compiled(rule(1), rule(2, from_="!:1.to", **several))
    backlog = Backlog(directive, 0)
    first = event(1, "open")
    src, dst = ASSETS.address_info(first.src_ip), ASSETS.address_info(first.dst_ip)
    backlog.open(first, src, dst, 2000)
    backlog.set_expiry(2000)
    backlog.consume(2, event(2, "a", src_port=1, dst_port=80), 2001)
    again = restore_backlog(directive, 0, take_snapshot(backlog))
    assert take_snapshot(again).bound == ((1, "dst_ip", "10.0.0.5"),)
    assert again.consume(2, event(2, "b", src_port=2, dst_port=80), 2002) == "sticky_seen"
    assert again.consume(2, event(2, "c", src_port=1, dst_port=81), 2002) == "sticky_seen"
    assert again.consume(2, event(2, "d", src_port=80, dst_port=1), 2002) == "taken"


def test_a_restored_backlog_is_not_older_than_those_there_are() -> None:
    assert restore_backlog(COMPILED, 9, snapshot()).order == 9


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alarm_id": ""}, "alarm_id"),
        ({"title": "another"}, "title"),
        ({"starts": (1,)}, "first stage"),
        ({"starts": (1, 2, 3, 4)}, "has finished 3 stages"),
        ({"updated": 2**70}, "time"),
        ({"risk": -1}, "risk"),
        ({"src_ips": ("nowhere",)}, "address"),
    ],
)
def test_what_does_not_fit_its_directive_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableBacklogError, match=reason):
        restore_backlog(COMPILED, 0, replace(snapshot(), **changes))


def test_a_dropped_backlog_is_named_briefly() -> None:
    dropped = UnusableBacklogError("it is a test").dropped(7, "x" * 1000, "t" * 1000)
    assert (len(dropped.alarm_id), len(dropped.title), dropped.reason) == (200, 200, "it is a test")
