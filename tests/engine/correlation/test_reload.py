"""Another configuration for a correlator with open backlogs."""

import pytest
from msgspec.structs import replace

from engine.address import parse_network
from engine.alarm import BacklogKey, Hit
from engine.asset import Asset, NetworkAssets
from engine.correlation.correlator import Correlator
from engine.correlation.directive_set import DirectiveSet
from engine.correlation.outputs import Outputs
from engine.correlation.snapshot import BacklogSnapshot
from engine.directives.directive import Directive
from engine.directives.index import routing_keys_of
from engine.directives.packed_directives import PackedDirectives
from engine.options import Options
from tests.support.directives import ASSETS, directive, event, rule

NOW = 1000
OPTIONS = Options(track_changes=True, count_by_directive=True, lookups=True)
D1 = directive(rule(1), rule(2, from_=":1"))
D2 = replace(D1, name="renamed", priority=1)
OTHER_EVENTS = replace(D1, rules=(rule(1), replace(rule(2, from_=":1"), plugin_id=2)))
HIT = Hit("p", "10.0.0.1", "found")


def correlator_of(*directives: Directive) -> Correlator:
    return Correlator(directives, ASSETS, OPTIONS)


def reload(
    correlator: Correlator, *directives: Directive, assets: NetworkAssets = ASSETS
) -> Outputs:
    outputs = Outputs()
    correlator.reload(DirectiveSet(directives, assets), NOW, outputs, lookups=True)
    return outputs


def process(correlator: Correlator, stage: int, id_: str, **more: object) -> Outputs:
    return correlator.process_event(event(stage, id_, **more), NOW)


def finish(correlator: Correlator, id_: str, src_ip: str) -> Outputs:
    """Let the backlogs that an event with this source has opened finish."""
    return process(correlator, 2, id_, src_ip=src_ip)


def open_keys(correlator: Correlator) -> list[BacklogKey]:
    return sorted(correlator.open_keys())


def test_a_directive_with_the_same_content_keeps_all_it_has() -> None:
    correlator = correlator_of(D1)
    process(correlator, 1, "a")
    backlogs, keys = correlator.backlogs_of(7), list(correlator.take_changed())
    assert reload(correlator, directive(rule(1), rule(2, from_=":1"))).counts == {}
    assert correlator.backlogs_of(7) is backlogs
    assert (open_keys(correlator), list(correlator.take_changed())) == (keys, [])
    assert correlator.take_counts()[7].events == 1
    assert process(correlator, 2, "b").counts == {"taken": 1, "finished": 1}


def test_an_open_backlog_goes_on_under_its_former_definition() -> None:
    correlator = correlator_of(D1)
    process(correlator, 1, "a", src_ip="10.0.0.1")
    list(correlator.take_changed())
    assert reload(correlator, D2) == Outputs()
    assert list(correlator.take_changed()) == open_keys(correlator)
    [state] = correlator.snapshots()
    assert state.definition == D1
    [opened] = process(correlator, 1, "b", src_ip="10.0.0.2").published
    assert (opened.alarm.title, opened.alarm.risk) == ("renamed", 1)
    [former] = finish(correlator, "c", "10.0.0.1").published
    assert (former.alarm.title, former.alarm.risk) == ("d", 5)
    assert [state.definition for state in correlator.snapshots()] == [None]


def test_events_of_former_rules_are_found_while_they_have_backlogs() -> None:
    correlator = correlator_of(OTHER_EVENTS)
    process(correlator, 1, "a")
    last = replace(event(2, "b"), plugin_id=2)
    reload(correlator, D1)
    assert correlator.former_keys() == [routing_keys_of(OTHER_EVENTS)]
    assert list(correlator.former_directives) == [7]
    assert correlator.concerned(last) == (7,)
    assert correlator.process_event(last, NOW).counts == {"taken": 1, "finished": 1}
    assert correlator.concerned(last) == ()
    assert (correlator.former_keys(), list(correlator.former_directives)) == ([], [])


def test_the_events_of_a_restored_definition_are_found() -> None:
    correlator = correlator_of(OTHER_EVENTS)
    process(correlator, 1, "a")
    [state] = correlator.snapshots()
    saved = [replace(state, rules=OTHER_EVENTS.rules), replace(state, definition=OTHER_EVENTS)]
    for former in saved:
        again = correlator_of(D1)
        assert again.restore([former]) == []
        last = replace(event(2, "b"), plugin_id=2)
        assert again.process_event(last, NOW).counts == {"taken": 1, "finished": 1}


def test_all_backlogs_go_on_after_many_reloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound for restored definitions does not apply."""
    monkeypatch.setattr("engine.correlation.stages.MAX_FORMER", 5)
    correlator = correlator_of(D1)
    for number in range(100):
        process(correlator, 1, f"e{number}", src_ip=f"10.0.1.{number}")
        reload(correlator, replace(D1, name=f"name {number}"))
    assert len(correlator.former_keys()) == len(correlator) == 100
    titles = [
        finish(correlator, f"f{number}", f"10.0.1.{number}").published[0].alarm.title
        for number in range(100)
    ]
    assert titles == ["d", *(f"name {number}" for number in range(99))]
    assert correlator.former_keys() == []


def test_changed_back_its_backlogs_are_under_the_present_definition_again() -> None:
    correlator = correlator_of(D1)
    process(correlator, 1, "a", src_ip="10.0.0.1")
    reload(correlator, D2)
    process(correlator, 1, "b", src_ip="10.0.0.2")
    reload(correlator, D1)
    assert [state.definition for state in correlator.snapshots()] == [None, D2]
    assert correlator.former_keys() == [routing_keys_of(D2)]
    assert finish(correlator, "c", "10.0.0.1").counts == {"taken": 1, "finished": 1}
    assert finish(correlator, "d", "10.0.0.2").counts == {"taken": 1, "finished": 1}


def test_an_event_of_an_earlier_stage_joins_where_all_rules_are_active() -> None:
    """Whether they are is a matter of the definition that a backlog is under."""
    rules = rule(1), rule(2, occurrence=2), rule(3)
    always = directive(*rules, always_active=True)
    for first, second in ((always, directive(*rules)), (directive(*rules), always)):
        correlator = correlator_of(first)
        process(correlator, 1, "a")
        reload(correlator, second)
        outputs = process(correlator, 1, "b")
        assert outputs.counts == ({"taken": 1} if first.always_active else {"opened": 1})


def test_backlogs_of_a_directive_that_is_gone_are_closed_without_a_line() -> None:
    correlator = correlator_of(D1, replace(D1, id=8))
    process(correlator, 1, "a")
    key = next(key for key in open_keys(correlator) if key[0] == 7)
    assert correlator.enrich(key, "intel", [HIT])
    reload(correlator, D2, replace(D1, id=8))
    process(correlator, 1, "b", src_ip="10.0.0.9")
    list(correlator.take_changed())
    outputs = reload(correlator, replace(D1, id=8))
    assert (outputs.counts, outputs.published, outputs.alarm_events) == ({"removed": 2}, [], [])
    assert {id_ for id_, _ in correlator.take_changed()} == {7}
    assert {id_ for id_, _ in open_keys(correlator)} == {8}
    assert not correlator.enrich(key, "intel", [HIT])
    assert not correlator.is_open(key)
    assert (correlator.snapshot_of(key), correlator.backlogs_of(7)) == (None, None)
    assert (correlator.former_keys(), list(correlator.former_directives)) == ([], [])
    counts = correlator.take_counts()
    assert {id_: one.events for id_, one in counts.items()} == {8: 2}
    ended = correlator.advance_time(NOW + 999)
    assert ended.counts == {"expired": 2}
    assert {alarm.key[0] for alarm in ended.published} == {8}


def test_a_directive_that_comes_back_goes_on_with_its_numbers_and_memory() -> None:
    correlator = correlator_of(D1)
    process(correlator, 1, "a")
    [before] = correlator.snapshots()
    reload(correlator)
    assert process(correlator, 1, "b").counts == {}
    reload(correlator, D1)
    assert process(correlator, 1, "a").counts == {"repeated": 1}
    process(correlator, 1, "c")
    [after] = correlator.snapshots()
    assert after.order > before.order


@pytest.mark.parametrize("after", [(D2,), ()])
def test_a_cut_gets_the_backlogs_as_they_were_before_a_reload(after: tuple[Directive]) -> None:
    correlator = correlator_of(D1)
    process(correlator, 1, "a")
    expected = correlator.snapshots()
    saved: list[BacklogSnapshot | None] = []
    correlator.activity.begin_cut(
        open_keys(correlator), lambda key: saved.append(correlator.snapshot_of(key))
    )
    reload(correlator, *after)
    assert saved == expected
    assert correlator.activity.next_of_cut() is None


def test_new_assets_and_lookups_are_used_by_open_backlogs_too() -> None:
    correlator = Correlator([D1], ASSETS, replace(OPTIONS, lookups=False))
    process(correlator, 1, "a", src_ip="10.0.0.1")
    poor = NetworkAssets([Asset("lan", parse_network("10.0.0.0/8")[0], 1)])
    for definition in (D2, D2):
        reload(correlator, definition, assets=poor)
    [finished] = finish(correlator, "b", "10.0.0.1").published
    assert finished.alarm.risk == 1
    assert finished.lookups is not None
    correlator.reload(DirectiveSet([D2], ASSETS), NOW, Outputs(), lookups=False)
    [opened] = process(correlator, 1, "c").published
    assert (opened.alarm.risk, opened.lookups) == (1, None)


def test_addresses_bound_with_all_rules_active_do_not_depend_on_the_assets_any_more() -> None:
    correlator = correlator_of(
        directive(rule(1, from_="HOME_NET"), rule(2, occurrence=2), always_active=True)
    )
    process(correlator, 1, "a", src_ip="10.0.0.1")
    reload(correlator, correlator.backlogs_of(7).compiled.directive, assets=NetworkAssets([]))  # type: ignore[union-attr]
    assert process(correlator, 1, "b", src_ip="10.0.0.1").counts == {"taken": 1}
    assert process(correlator, 1, "c", src_ip="10.0.0.2").counts == {}


def test_a_saved_backlog_under_the_definition_of_another_directive_is_dropped() -> None:
    correlator = correlator_of(D1)
    process(correlator, 1, "a")
    [state] = correlator.snapshots()
    foreign = replace(state, definition=replace(D1, id=8))
    [dropped] = correlator_of(D1).restore([foreign])
    assert dropped.reason == "its definition is that of directive 8"


@pytest.mark.parametrize("made", [PackedDirectives.pack, list])
def test_sets_have_the_same_directive_if_its_content_is_equal(made) -> None:  # type: ignore[no-untyped-def]
    first, second = (
        DirectiveSet(made([D1, replace(D1, id=8), replace(D1, id=9)]), ASSETS),
        DirectiveSet(made([D1, replace(D2, id=8)]), ASSETS),
    )
    assert [second.has_same(id_, first) for id_ in (7, 8, 9, 10)] == [True, False, False, False]
