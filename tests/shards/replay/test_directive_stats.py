"""Counts by directive add up to the ledger, and are those of each directive alone."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from shards.config.config_folder import Config
from shards.replay.directive_stats import StatsCollector
from shards.replay.event_replay import Replay
from shards.replay.tracked_replay import TrackedReplay, short_id
from shards.sources.recorded_event import RecordedEvent
from shards.unmatched_events import UnmatchedEvents
from tests.support.replayed_scenarios import SETTINGS, config_of, plain_replay, recorded_events
from tests.support.strategies import Json, directives, moments_from, streams

NO_LIMIT = 10**9


def collect(config: Config, events: list[RecordedEvent], max_closed: int) -> StatsCollector:
    tracked = TrackedReplay(Replay(config, SETTINGS, count_by_directive=True))
    collector = StatsCollector(config, tracked, UnmatchedEvents(), max_closed)
    for event in events:
        collector.process_event(event)
    collector.finish()
    assert not tracked.alarms
    return collector


@given(directives(4), streams())
def test_the_counts_add_up_to_the_ledger_of_a_replay(
    some: list[Json], stream: tuple[bytes, ...]
) -> None:
    config, events = config_of(some), recorded_events(moments_from(some, stream, serving=False))
    counted = collect(config, events, NO_LIMIT)
    replay, alarms, _ = plain_replay(config, events)
    ledger, rows = replay.ledger, counted.directives.values()
    ledger.backlogs["open"] = replay.open_backlogs
    assert counted.ledger == ledger
    assert sum(row.opened for row in rows) == ledger.backlogs["opened"]
    assert sum((row.alarms for row in rows), Counter()) == Counter(
        alarm.risk_class for alarm in alarms.values()
    )
    assert sum(row.events for row in rows) >= ledger.deliveries.consumed
    assert sum(row.concerned for row in rows) >= ledger.events.routed + ledger.events.whitelisted
    signatures = counted.unmatched.most_frequent
    assert sum(signature.events for signature in signatures) == ledger.events.unmatched


@given(directives(3), streams(), st.sampled_from([0, NO_LIMIT]))
def test_the_counts_of_a_directive_are_those_of_it_alone(
    some: list[Json], stream: tuple[bytes, ...], max_closed: int
) -> None:
    config, events = config_of(some), recorded_events(moments_from(some, stream, serving=False))
    counted = collect(config, events, max_closed)
    for directive in config.directives:
        row = counted.directives[directive.id]
        alone = Config((directive,), config.assets)
        replay, alarms, lines = plain_replay(alone, events)
        assert row.concerned == replay.ledger.events.routed + replay.ledger.events.whitelisted
        assert row.events == replay.ledger.deliveries.consumed
        assert row.opened == replay.ledger.backlogs["opened"]
        assert row.furthest_stage == max((line.stage for line in lines), default=0)
        assert row.stages == len(directive.rules)
        if max_closed:
            assert row.alarms == Counter(alarm.risk_class for alarm in alarms.values())


def test_a_long_event_id_is_cut_and_stays_unique() -> None:
    assert short_id("e" * 200) == "e" * 200
    one, other = short_id("e" * 300), short_id("e" * 301)
    assert len(one) == 200
    assert one != other
