"""The router: where each event goes, and how it is counted."""

import tracemalloc

import msgspec
import pytest

from engine.directives.index import DirectiveRoutingKeys, RuleRoutingKeys
from shards.config.generation import RouterConfig
from shards.ledger import WORKER_DIED, Events, Feed
from shards.placement import shard_of_directive
from shards.router.router import Router
from shards.router.routing_table import RoutingTable
from shards.router.send_queue import SendQueue
from shards.settings.settings import Settings
from shards.sources.event_source import QUEUE_FULL
from shards.unmatched_events import UnmatchedEvents
from tests.support.routing import DIRECTIVES, Routed, Source, event


@pytest.fixture
def routed() -> Routed:
    return Routed()


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_an_event_goes_to_the_worker_of_its_directive(routed: Routed, directive: int) -> None:
    routed.router.route([event(directive)])
    _, worker = shard_of_directive(directive, 1, 2)
    assert routed.queued == [int(worker == 0), int(worker == 1)]


def test_an_event_for_several_directives_goes_to_each_worker_once(routed: Routed) -> None:
    routed.router.route([event(99)])
    assert routed.queued == [1, 1]
    assert routed.router.make_report(Source()).ledger.deliveries.sent == 2


def test_every_fate_is_counted(routed: Routed) -> None:
    whitelisted = event(1, src_ip="10.9.9.9")
    routed.router.route([event(1), event(77), whitelisted, b"[", event(1, src_ip="nowhere")])
    assert routed.events.missing == 0
    assert routed.events == Events(
        received=5,
        routed=1,
        unmatched=1,
        whitelisted=1,
        invalid=routed.events.invalid,
    )
    assert dict(routed.events.invalid) == {"bad_json": 1, "bad_address": 1}


def test_a_sender_that_waits_learns_why_an_event_is_refused() -> None:
    routed = Routed(max_queue=1)
    assert routed.router.take(event(1)) is None
    assert routed.router.take(event(77)) is None
    full = routed.router.take(event(1))
    assert full is not None
    assert full.reason == QUEUE_FULL
    invalid = routed.router.take(event(1, timestamp="yesterday"))
    assert invalid is not None
    assert invalid.reason == "bad_timestamp"
    report = routed.router.make_report(Source())
    assert report.ledger.events.dropped == {QUEUE_FULL: 1}
    assert report.ledger.deliveries.dropped == {}
    assert (report.ledger.events.missing, report.ledger.deliveries.sent) == (0, 1)


def test_an_event_whose_sender_waits_goes_to_all_of_its_workers_or_to_none() -> None:
    routed = Routed(max_queue=1)
    assert routed.router.take(event(1)) is None
    before = routed.queued
    assert sorted(before) == [0, 1]
    assert routed.router.take(event(99)) is not None
    assert routed.queued == before
    assert routed.events.dropped == {QUEUE_FULL: 1}


def test_an_event_whose_sender_does_not_wait_goes_to_the_workers_that_have_room() -> None:
    routed = Routed(max_queue=1)
    routed.router.route([event(1), event(99)])
    ledger = routed.router.make_report(Source()).ledger
    assert routed.queued == [1, 1]
    assert (ledger.events.routed, ledger.events.dropped) == (2, {})
    assert (ledger.deliveries.sent, ledger.deliveries.dropped) == (3, {QUEUE_FULL: 1})


def test_the_memory_of_the_router_does_not_grow_with_the_kinds_of_events() -> None:
    """Every pair of a plugin and a category is a different set of directives."""
    number = 100
    plugins = [
        DirectiveRoutingKeys(n, (RuleRoutingKeys(n, (1,), "", ()),)) for n in range(1, number + 1)
    ]
    taxonomies = [
        DirectiveRoutingKeys(number + n, (RuleRoutingKeys(0, (), f"c{n}", ("p",)),))
        for n in range(1, number + 1)
    ]
    keys = msgspec.msgpack.encode(plugins + taxonomies)
    router = Router(
        RoutingTable(1, RouterConfig(keys, ()), Settings(workers=2)),
        [SendQueue(1, retain_bytes=0, life=1, clock=int) for _ in range(2)],
    )

    def route_all() -> None:
        for plugin in range(1, number + 1):
            router.route(
                [event(plugin, category=f"c{n}", product="p") for n in range(1, number + 1)]
            )

    router.route([event(1, category="c1", product="p")])
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        route_all()
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    grown = sum(stat.size_diff for stat in after.compare_to(before, "filename"))
    assert grown < 200_000, grown  # a map of 10,000 pairs takes more than a megabyte
    assert router.make_report(Source()).ledger.events.routed == number * number + 1


def test_events_of_other_services_of_the_node_are_elsewhere() -> None:
    parts = [Routed(cluster_size=2, cluster_index=str(part)) for part in range(2)]
    for part in parts:
        part.router.route([event(directive) for directive in DIRECTIVES])
    assert sum(part.events.routed for part in parts) == len(DIRECTIVES)
    assert sum(part.events.elsewhere for part in parts) == len(DIRECTIVES)
    assert all(part.events.routed for part in parts)


def test_a_report_holds_the_counts_of_the_source(routed: Routed) -> None:
    report = routed.router.make_report(Source())
    assert (report.ledger.feed, report.connected) == (Feed(lost=1), True)


def test_a_report_is_not_changed_by_what_follows(routed: Routed) -> None:
    before = routed.router.make_report(Source())
    routed.router.route([event(1), b"["])
    assert before.ledger.events == Events()
    assert before.ledger.deliveries.sent == 0


def test_flushed_events_wait_for_the_pipes_of_their_workers(routed: Routed) -> None:
    routed.router.route([event(99)])
    report = routed.router.make_report(Source())
    assert (report.queued, report.accepted, report.without_pipe) == (
        {0: 1, 1: 1},
        {0: 1, 1: 1},
        [0, 1],
    )


def test_a_report_holds_what_deaths_of_workers_cost(routed: Routed) -> None:
    routed.router.route([event(99)])
    first, second = routed.queues
    first.lost, first.redelivered, second.redelivered = 1, 2, 3
    report = routed.router.make_report(Source())
    assert report.lost == {0: 1}
    deliveries = report.ledger.deliveries
    assert (deliveries.sent, deliveries.redelivered) == (2, 5)
    assert deliveries.lost == {WORKER_DIED: 1}


def test_unmatched_events_are_counted_by_signature_if_that_is_wanted() -> None:
    unmatched = UnmatchedEvents()
    routed = Routed(unmatched=unmatched)
    routed.router.route([event(77), event(1), event(77, title="t")])
    assert routed.router.take(event(78)) is None
    routed.router.route_again([event(77)], first=1)  # the router before this one has counted it
    counted = [(one.plugin_id, one.events, one.title) for one in unmatched.short_report()]
    assert counted == [(77, 2, "t"), (78, 1, "")]
    assert routed.events.unmatched == 3
    assert routed.router.check(event(77)) is None
    routed.router.route([event(77)])
    assert unmatched.short_report()[0].events == 3
