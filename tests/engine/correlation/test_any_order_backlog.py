"""Backlogs whose stages are open at once: their snapshots, and what an event costs them."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.correlation.any_order_backlog import AnyOrderBacklog
from engine.correlation.compact_set import CompactSetMap
from engine.correlation.correlator import Correlator
from engine.correlation.restoration import restore_backlog
from engine.correlation.snapshot import (
    BacklogSnapshot,
    HeldItems,
    UnusableBacklogError,
    take_snapshot,
)
from engine.correlation.stages import Stage
from engine.options import Options
from tests.support.directives import ASSETS, compiled, directive, event, rule

RULES = (
    rule(1),
    rule(2, from_=":1", occurrence=3, sticky_different="DST_PORT"),
    rule(3, occurrence=2),
    rule(4, absent=True, occurrence=2),
)
COMPILED = compiled(*RULES, any_order=True)
SEQUENTIAL = compiled(*RULES)


def opened() -> AnyOrderBacklog:
    backlog = AnyOrderBacklog(COMPILED, 4)
    first = event(1, "open")
    src, dst = ASSETS.address_info(first.src_ip), ASSETS.address_info(first.dst_ip)
    backlog.open(first, src, dst, 2000)
    backlog.set_expiry(2000)
    return backlog


def begun() -> AnyOrderBacklog:
    """A backlog that has finished stages 1 and 3, with events at the others."""
    backlog = opened()
    events = ((3, "a"), (2, "b"), (4, "c"), (3, "d"))
    outcomes = [backlog.consume(n, event(n, id_, dst_port=80), 2001) for n, id_ in events]
    assert outcomes == ["taken", "taken", "taken", "finished"]
    return backlog


def restored(state: BacklogSnapshot) -> BacklogSnapshot:
    encoded = msgspec.json.encode(state)
    decoded = msgspec.json.decode(encoded, type=BacklogSnapshot)
    return take_snapshot(restore_backlog(COMPILED, 0, decoded))


def test_a_restored_backlog_has_the_same_snapshot() -> None:
    assert restored(take_snapshot(opened())) == take_snapshot(opened())
    state = take_snapshot(begun())
    assert restored(state) == state
    assert (state.finished_stages, state.open_ids) == ((1, 3), {2: ("b",), 4: ("c",)})


def test_a_restored_backlog_goes_on_as_the_original() -> None:
    backlog = restore_backlog(COMPILED, 0, take_snapshot(begun()))
    assert backlog.consume(2, event(2, "e", dst_port=80), 2002) == "sticky_seen"
    assert backlog.consume(4, event(4, "f"), 2002) == "averted"


def test_a_snapshot_leaves_out_the_held_items_of_open_stages_only() -> None:
    held = HeldItems(4, {"ids.2": 1, "sticky.2": 1, "ids.3": 2, "ids.4": 7})
    state = take_snapshot(begun(), held)
    assert state.left_out == {"ids.2": 1, "sticky.2": 1}, "of stage 4 there are not so many"
    assert state.open_ids == {2: (), 4: ("c",)}
    whole = take_snapshot(begun())
    assert state.with_sets(state.sets | {"ids.2": ("b",), "sticky.2": (80,)}, {}) == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"finished_stages": ()},
        {"finished_stages": (1,)},
        {"finished_stages": (3, 1)},
        {"finished_stages": (1, 1)},
        {"finished_stages": (1, 5)},
        {"finished_stages": (1, 9)},
        {"finished_stages": (1, 2**60)},
        {"open_ids": {3: ("x",)}},
        {"open_ids": {9: ("x",)}},
    ],
)
def test_stages_that_do_not_fit_the_directive_are_refused(changes: dict[str, Any]) -> None:
    state = replace(take_snapshot(begun()), **changes)
    with pytest.raises(UnusableBacklogError, match="finished stages"):
        restore_backlog(COMPILED, 0, state)


def test_a_backlog_in_any_order_does_not_fit_a_directive_in_order() -> None:
    with pytest.raises(UnusableBacklogError, match="in any order"):
        restore_backlog(SEQUENTIAL, 0, take_snapshot(begun()))


def test_an_event_costs_one_lookup_for_each_open_rule_whatever_the_number_of_backlogs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = (rule(1), rule(2, from_=":1"), rule(3, from_=":1", occurrence=2))
    correlator = Correlator([directive(*rules, any_order=True)], ASSETS, Options())
    for number in range(200):
        correlator.process_event(event(1, f"o{number}", src_ip=f"192.0.2.{number}"), 1000)
    lookups: list[int] = []
    backlogs = correlator.backlogs_of(7)
    assert backlogs is not None

    class Counted(CompactSetMap[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            lookups.append(1)
            return super().get(key, default)

    for stage in backlogs.stages.searched:
        assert isinstance(stage, Stage)
        monkeypatch.setattr(stage, "waiting", Counted(stage.waiting))
    outputs = correlator.process_event(event(3, "x", src_ip="192.0.2.7"), 1001)
    assert outputs.counts == {"taken": 1}
    assert len(lookups) == 2, "one for stage 2, one for stage 3"
