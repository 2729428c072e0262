"""The counts of connections to NATS. Real connections: test_cluster.py."""

from nats.aio.client import Client

from shards.ledger import Feed
from shards.sources.connection_tracker import ConnectionTracker, EndedConnection
from shards.sources.nats_monitor import ConnectionEnd
from shards.sources.nats_parser import EventParser


def parser() -> EventParser:
    return EventParser(Client(), "dsiem_events", lambda events: None)


def connected_tracker(*asked: float) -> ConnectionTracker:
    """A tracker with a connection since 0.0, that was asked for its counts at these times."""
    tracker = ConnectionTracker(0.0)
    tracker.use_parser(parser())
    tracker.connected(0.0)
    for now in asked:
        tracker.feed(now)
    return tracker


def test_the_time_before_the_first_connection_counts() -> None:
    tracker = ConnectionTracker(100.0)
    before = tracker.is_connected
    assert tracker.feed(101.0) == Feed(seconds_without=1.0)
    tracker.use_parser(parser())
    assert tracker.connected(102.5) is None
    assert (before, tracker.is_connected) == (False, True)
    assert tracker.feed(200.0) == Feed(seconds_without=2.5)


def test_a_lost_connection_counts_once_and_its_time_until_the_next() -> None:
    tracker = connected_tracker(*range(11))
    assert tracker.disconnected(10.0, 7)
    assert not tracker.disconnected(11.0, 7)
    tracker.connected(14.0)
    assert tracker.feed(20.0) == Feed(lost=1, seconds_without=4.0)


def test_an_ended_connection_has_the_events_received_over_it() -> None:
    tracker = ConnectionTracker(0.0)
    events = parser()
    tracker.use_parser(events)
    tracker.connected(0.0)
    events.received = 30
    tracker.disconnected(1.0, 7)
    assert tracker.connected(2.0) == EndedConnection(7, 30, since=1.0)
    events.received = 50
    tracker.disconnected(3.0, 8)
    assert tracker.connected(4.0) == EndedConnection(8, 20, since=3.0)
    assert tracker.connected(4.0) is None


def test_before_the_first_client_there_is_nothing_to_lose() -> None:
    tracker = ConnectionTracker(0.0)
    assert not tracker.disconnected(1.0, None)
    assert tracker.feed(1.0).lost == 0


def test_events_that_the_server_discarded_are_counted_and_never_fewer_than_none() -> None:
    tracker = ConnectionTracker(0.0)
    ended = EndedConnection(7, 30, since=1.0)
    assert tracker.add_end(ended, ConnectionEnd("", 27), 2.0) == 0
    assert tracker.add_end(ended, ConnectionEnd("", 35), 2.0) == 5
    assert tracker.feed(0.0).cut == 5


def test_a_connection_that_ends_after_a_stall_counts_as_ended_since_the_stall() -> None:
    """A server cuts off a client that does not read, and the client notices it late."""
    noticed_at_once = connected_tracker(1.0, 1.5)
    noticed_after_reading = connected_tracker(1.0, 1.5, 31.5, 32.0)
    for tracker in (noticed_at_once, noticed_after_reading):
        tracker.disconnected(32.5, 7)
        tracker.connected(33.0)
        assert tracker.feed(33.5).seconds_without == 31.5


def test_a_connection_that_outlives_a_stall_ends_when_it_ends() -> None:
    tracker = connected_tracker(1.0, 31.0, *map(float, range(32, 60)))
    assert tracker.feed(60.0).seconds_without == 0
    tracker.disconnected(60.0, 7)
    tracker.connected(61.0)
    assert tracker.feed(61.0).seconds_without == 1


def test_the_time_at_which_the_server_closed_the_connection_counts() -> None:
    stalled, prompt = connected_tracker(1.0, 1.5, 31.5), connected_tracker(31.0)
    for tracker in (stalled, prompt):
        tracker.disconnected(32.0, 7)
        ended = tracker.connected(33.0)
        assert ended is not None
        tracker.add_end(ended, ConnectionEnd("Slow Consumer", 0, seconds_ago=24.0), 34.0)
        assert tracker.feed(34.0).seconds_without == 33.0 - 10.0
