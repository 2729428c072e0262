"""The samples that metrics read from an overview."""

from collections import Counter

from shards.ledger import Deliveries, Events, Ledger, LookupCounts
from shards.ops import metric_samples
from tests.support.overviews import live_stats, overview, shard_status


def test_a_sample_of_nats_exists_only_where_events_arrive_over_nats() -> None:
    reader = metric_samples.single_if_nats(lambda o: o.uptime)
    assert reader(overview(uses_nats=True)) == {(): 60.0}
    assert reader(overview()) is None


def test_reasons_that_have_not_occurred_have_the_value_0() -> None:
    reader = metric_samples.by_reason(("a", "b"), lambda _: {"b": 2, "c": 3})
    assert reader(overview()) == {("a",): 0, ("b",): 2, ("c",): 3}


def test_workers_are_labelled_with_their_number() -> None:
    reader = metric_samples.by_worker(lambda o: (shard.queue for shard in o.shards))
    shards = [shard_status(0, queue=5), shard_status(1, queue=7)]
    assert reader(overview(shards=shards)) == {("0",): 5, ("1",): 7}


def test_outcomes_of_events_and_deliveries_are_those_of_the_ledger() -> None:
    ledger = Ledger(
        events=Events(received=10, routed=1, unmatched=2, elsewhere=3, whitelisted=4),
        deliveries=Deliveries(sent=13, consumed=5, unmatched=8),
    )
    events = {"routed": 1, "unmatched": 2, "elsewhere": 3, "whitelisted": 4}
    assert metric_samples.event_outcomes(overview(ledger=ledger)) == events
    deliveries = {"consumed": 5, "unmatched": 8}
    assert metric_samples.delivery_outcomes(overview(ledger=ledger)) == deliveries


def test_closed_backlogs_are_those_that_are_neither_open_nor_new() -> None:
    ledger = Ledger()
    ledger.backlogs.update(
        opened=9, restored=8, open=7, finished=3, expired=2, averted=5, removed=4, interrupted=1
    )
    closed = {"finished": 3, "expired": 2, "averted": 5, "removed": 4, "interrupted": 1}
    assert metric_samples.closed_backlogs(overview(ledger=ledger)) == closed


def test_matches_are_by_directive_if_they_are_counted() -> None:
    assert metric_samples.directive_matches(overview(stats=live_stats())) == {("7",): 5}
    assert metric_samples.directive_matches(overview()) is None


def test_every_lookup_that_has_ended_is_in_one_result() -> None:
    counts = LookupCounts(
        asked=36,
        cached=1,
        shared=2,
        found=3,
        nothing=4,
        errors=Counter(timeout=5, http=6),
        rejected_breaker=7,
        rejected_full=8,
    )
    samples = metric_samples.lookup_results(overview(ledger=Ledger(lookups={"Wise": counts})))
    assert counts.missing == 0
    assert sum(samples.values()) == counts.asked
    assert samples["Wise", "error_timeout"] == 5
    assert samples["Wise", "rejected_full"] == 8


def test_breakers_are_counted_in_every_state() -> None:
    lookups = {"Wise": LookupCounts(breakers=Counter(open=2)), "Other": LookupCounts()}
    samples = metric_samples.breaker_states(overview(ledger=Ledger(lookups=lookups)))
    assert len(samples) == 6
    assert {key: value for key, value in samples.items() if value} == {("Wise", "open"): 2}
