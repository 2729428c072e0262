"""Comparing the alarms of two configs: with themselves, in both directions, and by hand."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alarm import AlarmRecord
from shards.config.config_folder import Config
from shards.replay import tracked_replay
from shards.replay.comparison import Comparison, Differences, differing_parts
from shards.replay.directive_stats import StatsCollector
from shards.replay.event_replay import Replay
from shards.replay.tracked_replay import AlarmState, SettledAlarms, TrackedReplay
from shards.sources.recorded_event import RecordedEvent
from shards.unmatched_events import UnmatchedEvents
from tests.support.replayed_scenarios import SETTINGS, config_of, plain_replay, recorded_events
from tests.support.strategies import Json, directives, moments_from, streams

NO_LIMIT = 10**9
EXACT_OR_SETTLING = st.sampled_from([0, NO_LIMIT])
"""With 0, alarms are settled at each event as soon as they are closed."""


def compare(
    old: Config,
    new: Config,
    events: Iterable[RecordedEvent],
    *,
    limit: int | None = None,
    max_closed: int = NO_LIMIT,
) -> Differences:
    one, other = (TrackedReplay(Replay(config, SETTINGS)) for config in (old, new))
    comparison = Comparison(one, other, limit, max_closed)
    for event in events:
        comparison.process_event(event)
    comparison.finish()
    assert not one.alarms
    assert not other.alarms
    return comparison.differences


def as_texts(alarms: Iterable[object]) -> list[str]:
    return sorted(map(repr, alarms))


@given(directives(3), streams(), EXACT_OR_SETTLING)
def test_a_config_does_not_differ_from_itself(
    some: list[Json], stream: tuple[bytes, ...], max_closed: int
) -> None:
    config, events = config_of(some), recorded_events(moments_from(some, stream, serving=False))
    found = compare(config, config, events, max_closed=max_closed)
    _, alarms, _ = plain_replay(config, events)
    assert found.totals == {"new": 0, "gone": 0, "changed": 0, "unchanged": len(alarms)}


@given(directives(2), directives(2), streams(), EXACT_OR_SETTLING)
def test_the_other_direction_mirrors_the_differences(
    some: list[Json], others: list[Json], stream: tuple[bytes, ...], max_closed: int
) -> None:
    old, new = config_of(some), config_of(others)
    events = recorded_events(moments_from(some + others, stream, serving=False))
    there = compare(old, new, events, max_closed=max_closed)
    back = compare(new, old, events, max_closed=max_closed)
    assert as_texts(there.new) == as_texts(back.gone)
    assert as_texts(there.gone) == as_texts(back.new)
    assert as_texts((p.old, p.new, p.differing) for p in there.changed) == as_texts(
        (p.new, p.old, p.differing) for p in back.changed
    )
    assert there.totals["unchanged"] == back.totals["unchanged"]


def states(config: Config, events: list[RecordedEvent]) -> dict[str, tuple[AlarmRecord, object]]:
    """The last record of each alarm with the ids of its events, from the outputs as a whole."""
    _, alarms, lines = plain_replay(config, events)
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        ids[line.alarm_id].append(line.event_id)
    return {alarm_id: (record, ids[alarm_id]) for alarm_id, record in alarms.items()}


@given(directives(2), directives(2), streams())
def test_the_differences_are_those_of_two_replays(
    some: list[Json], others: list[Json], stream: tuple[bytes, ...]
) -> None:
    old, new = config_of(some), config_of(others)
    events = recorded_events(moments_from(some + others, stream, serving=False))
    found = compare(old, new, events)
    before, after = states(old, events), states(new, events)
    assert {alarm.alarm_id for alarm in found.new} == after.keys() - before.keys()
    assert {alarm.alarm_id for alarm in found.gone} == before.keys() - after.keys()
    changed = {pair.new.alarm_id: pair for pair in found.changed}
    for alarm_id in before.keys() & after.keys():
        (one, one_ids), (other, other_ids) = before[alarm_id], after[alarm_id]
        statuses = [[rule.status for rule in record.rules] for record in (one, other)]
        differs = (one.title, one.risk, one_ids) != (other.title, other.risk, other_ids)
        if differs or statuses[0] != statuses[1]:
            pair = changed.pop(alarm_id, None)
            if pair is None:  # events in the middle may differ
                assert one_ids != other_ids
                continue
            assert (pair.old.risk, pair.new.risk) == (one.risk, other.risk)
            assert list(pair.new.statuses) == statuses[1]
            assert [pair.old.events, pair.new.events] == [len(one_ids), len(other_ids)]  # type: ignore[arg-type]
    assert not changed


def many_scans(count: int) -> tuple[Config, list[RecordedEvent]]:
    """Events that open a backlog each, which is closed soon."""
    from tests.support.replaying import BRUTE_FORCE, LOGIN, event  # noqa: PLC0415
    from tests.support.strategies import Moment  # noqa: PLC0415

    moments = [
        Moment(event(f"e{n}", 10 * n, LOGIN, src_ip=f"10.0.{n >> 8}.{n & 255}"), 0)
        for n in range(count)
    ]
    return config_of([BRUTE_FORCE]), recorded_events(moments)


def test_alarms_closed_in_both_are_not_kept() -> None:
    config, events = many_scans(2000)
    one, other = (TrackedReplay(Replay(config, SETTINGS)) for _ in range(2))
    comparison = Comparison(one, other, max_closed=100)
    most = 0
    for event in events:
        comparison.process_event(event)
        most = max(most, len(one.alarms) + len(other.alarms))
    assert most == 100
    comparison.finish()
    assert comparison.differences.totals["unchanged"] == 2000


def reopened() -> tuple[Config, list[RecordedEvent]]:
    """An event that comes again when nobody remembers it, and opens its alarm again."""
    from tests.support.replaying import BRUTE_FORCE, LOGIN, event  # noqa: PLC0415
    from tests.support.strategies import Moment  # noqa: PLC0415

    first, *others = (event(f"e{n}", 5000 * n, LOGIN, src_ip=f"192.0.2.{n + 1}") for n in range(9))
    moments = [Moment(one, 0) for one in (first, *others[:6], first, *others[6:])]
    return config_of([BRUTE_FORCE]), recorded_events(moments)


def test_an_alarm_that_opens_again_after_it_was_settled_counts_once() -> None:
    config, events = reopened()
    replay, alarms, _ = plain_replay(config, events)
    assert (len(alarms), sum(replay.opened.values())) == (9, 10)
    assert compare(config, config, events, max_closed=0).totals["unchanged"] == 9
    tracked = TrackedReplay(Replay(config, SETTINGS, count_by_directive=True))
    collector = StatsCollector(config, tracked, UnmatchedEvents(), max_closed=0)
    for event in events:
        collector.process_event(event)
    collector.finish()
    [stats] = collector.directives.values()
    assert (stats.alarms.total(), stats.opened) == (9, 10)


def test_settled_alarms_are_known_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked_replay, "MAX_SETTLED", 2)
    settled = SettledAlarms()
    assert [settled.add(id_) for id_ in "aabbcca"] == [1, 0, 1, 0, 1, 0, 1]


def test_differences_beyond_the_limit_are_only_counted() -> None:
    config, events = many_scans(500)
    found = compare(config_of([]), config, events, limit=10, max_closed=50)
    assert len(found.new) == 10
    assert found.counts == {1: Counter(new=500)}
    back = compare(config, config_of([]), events, limit=10)
    assert len(back.gone) == 10
    assert back.totals == {"new": 0, "gone": 500, "changed": 0, "unchanged": 0}


def test_each_part_of_an_alarm_can_differ() -> None:
    fields = {"alarm_id": "a", "directive": 1, "first_event": "e", "first_time": 1}
    fields |= {"last_event": "f", "last_time": 2}
    alarm = AlarmState(**fields)  # type: ignore[arg-type]
    changes: dict[str, Json] = {
        "title": {"title": "x"},
        "risk": {"risk": 5},
        "risk_class": {"risk_class": "High"},
        "stages": {"statuses": ("finished",)},
        "events": {"events": 5},
        "first_event": {"first_time": 0},
        "last_event": {"last_event": "g"},
    }
    assert differing_parts(alarm, alarm) == ()
    for part, changed in changes.items():
        assert differing_parts(alarm, AlarmState(**fields | changed)) == (part,)  # type: ignore[arg-type]
