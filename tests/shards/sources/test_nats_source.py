"""The counts of connections to NATS. Real connections: test_cluster.py."""

from nats.aio.client import Client

from shards.ledger import Feed
from shards.sources.nats_parser import EventParser
from shards.sources.nats_source import EndedConnection, _ConnectionTracker


def parser() -> EventParser:
    return EventParser(Client(), "dsiem_events", lambda events: None)


def test_the_time_before_the_first_connection_counts() -> None:
    tracker = _ConnectionTracker(100.0)
    before = tracker.is_connected
    assert tracker.feed(101.0) == Feed(seconds_without=1.0)
    tracker.use_parser(parser())
    assert tracker.connected(102.5) is None
    assert (before, tracker.is_connected) == (False, True)
    assert tracker.feed(200.0) == Feed(seconds_without=2.5)


def test_a_lost_connection_counts_once_and_its_time_until_the_next() -> None:
    tracker = _ConnectionTracker(0.0)
    tracker.use_parser(parser())
    tracker.connected(0.0)
    assert tracker.disconnected(10.0, 7)
    assert not tracker.disconnected(11.0, 7)
    tracker.connected(14.0)
    assert tracker.feed(20.0) == Feed(lost=1, seconds_without=4.0)


def test_an_ended_connection_has_the_events_received_over_it() -> None:
    tracker = _ConnectionTracker(0.0)
    events = parser()
    tracker.use_parser(events)
    tracker.connected(0.0)
    events.received = 30
    tracker.disconnected(1.0, 7)
    assert tracker.connected(2.0) == EndedConnection(7, 30)
    events.received = 50
    tracker.disconnected(3.0, 8)
    assert tracker.connected(4.0) == EndedConnection(8, 20)
    assert tracker.connected(4.0) is None


def test_before_the_first_client_there_is_nothing_to_lose() -> None:
    tracker = _ConnectionTracker(0.0)
    assert not tracker.disconnected(1.0, None)
    assert tracker.feed(1.0).lost == 0


def test_fewer_discarded_events_than_none_are_none() -> None:
    tracker = _ConnectionTracker(0.0)
    assert tracker.add_discarded(-3) == 0
    assert tracker.add_discarded(5) == 5
    assert tracker.feed(0.0).cut == 5
