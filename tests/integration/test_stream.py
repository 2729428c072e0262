"""A cluster backend on a JetStream stream: deaths and overload neither lose nor repeat an event."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import backend, frontend_of, raws
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer
from tests.support.replaying import Json
from tests.support.serving import (
    NumberedEvents,
    Service,
    ServiceExit,
    counting_directive,
    directives_of,
    wait_until,
)
from tests.support.stream_server import STREAM, JetStream, jetstream_server

DIRECTIVES = (*directives_of(0, 2), *directives_of(1, 2))
"""Two for each of two workers."""
OPTIONS = (f"--stream={STREAM}", "--stream-create", "--checkpoint-interval=1")
LONG = 40.0
"""Seconds for some ten thousand events and some deaths."""


@pytest.fixture
def frontend() -> Iterator[Frontend]:
    with frontend_of(map(counting_directive, DIRECTIVES)) as made:
        yield made


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with jetstream_server(tmp_path / "nats") as server:
        yield server


def publish(nats: NatsServer, events: list[Json]) -> int:
    """Publish events; they are in the stream, or on their way to it."""
    with nats.publisher() as publisher:
        return publisher.publish("dsiem_events", raws(events))


def wait_for_lines(service: Service, number: int) -> None:
    wait_until(lambda: service.lines() >= number, f"{number} lines", LONG)


def check_exactly_once(service: Service, ended: ServiceExit, number: int) -> None:
    """Check that each of so many events is counted once, and has one line."""
    assert ended.code == 0, service.text()
    ledger = ended.ledger
    ledger.check()
    assert ledger["events_received"] == ledger["events_routed"] == number
    assert ledger["deliveries_sent"] == ledger["deliveries_consumed"] == number
    assert ledger.lost == ledger["rolled_back"] == ledger["feed_expired"] == 0
    assert ledger["unreported_seconds"] == 0
    ids = service.event_ids()
    assert len(ids) == len(set(ids)) == number == ledger.lines


def test_all_events_of_a_stream_are_correlated(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        number = publish(nats, NumberedEvents(*DIRECTIVES).take(5000))
        wait_for_lines(service, number)
        check_exactly_once(service, service.stop(), number)
        assert {alarm["risk"] for alarm in service.alarms()} == {1, 10}


def test_events_that_came_before_the_service(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    with JetStream(nats) as js:
        js.create()
    events = NumberedEvents(*DIRECTIVES)
    number = publish(nats, events.take(1000))
    with backend(tmp_path, frontend, nats.url, *OPTIONS, "--stream-from=all") as service:
        number += publish(nats, events.take(1000))
        wait_for_lines(service, number)
        check_exactly_once(service, service.stop(), number)


@pytest.mark.parametrize("number", [0, 1])
def test_a_worker_that_is_killed(
    tmp_path: Path, nats: NatsServer, frontend: Frontend, number: int
) -> None:
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        published = publish(nats, events.take(10_000))
        wait_for_lines(service, 2000)
        os.kill(service.workers[number], signal.SIGKILL)
        published += publish(nats, events.take(2000))
        service.wait_for_children(3, service.workers[number])
        wait_for_lines(service, published)
        ended = service.stop()
        check_exactly_once(service, ended, published)
        assert ended.ledger["deliveries_redelivered"] > 0


def test_a_router_that_is_killed_again_and_again(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        published, router = 0, service.router
        for _ in range(3):
            published += publish(nats, events.take(8000))
            wait_for_lines(service, published - 4000)
            os.kill(router, signal.SIGKILL)
            published += publish(nats, events.take(1000))
            router = service.wait_for_children(3, router)
        wait_for_lines(service, published)
        check_exactly_once(service, service.stop(), published)


def test_a_router_that_is_killed_after_a_worker(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    """The worker that was started again has just its checkpoint."""
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        published = publish(nats, events.take(3000))
        wait_for_lines(service, published)
        time.sleep(1.5)  # there is a checkpoint
        for worker in service.workers:
            os.kill(worker, signal.SIGKILL)
        service.wait_for_log("a process has died", 2)
        wait_until(lambda: len(service.children()) == 3, "three children")
        time.sleep(1)  # they are ready
        os.kill(service.router, signal.SIGKILL)
        published += publish(nats, events.take(1000))
        wait_for_lines(service, published)
        check_exactly_once(service, service.stop(), published)


def test_another_number_of_workers_after_each_death_of_all(
    tmp_path: Path, nats: NatsServer
) -> None:
    """A directive follows the position of the shard that had it: they are far apart.

    Repeats are not recognized, so that an event that comes again would be taken again.
    """
    directives, options = range(1, 13), (*OPTIONS, "--repeat-window=0")
    events, published = NumberedEvents(*directives), 0
    with frontend_of(map(counting_directive, directives)) as frontend:
        for workers in (2, 3, 1):
            with backend(tmp_path, frontend, nats.url, *options, workers=workers) as service:
                os.kill(service.workers[0], signal.SIGSTOP)
                published += publish(nats, events.take(3010))  # backlogs stay open
                time.sleep(2.5)  # the others write checkpoints
                pids = (service.process.pid, *service.workers, service.router)
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                service.wait_until_gone(5)
        with backend(tmp_path, frontend, nats.url, *options, workers=4) as service:
            wait_for_lines(service, published)
            assert service.stop().code == 0
            ids = service.event_ids()
            assert len(ids) == len(set(ids)) == published
            finished = [alarm for alarm in service.alarms() if alarm["risk"] == 10]
            each = published // len(directives)
            assert len({alarm["alarm_id"] for alarm in finished}) == each // 10 * len(directives)


def test_all_processes_but_the_supervisor_are_killed_at_once(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        published = publish(nats, events.take(10_000))
        wait_for_lines(service, 3000)
        for pid in (*service.workers, service.router):
            os.kill(pid, signal.SIGKILL)
        published += publish(nats, events.take(2000))
        wait_for_lines(service, published)
        check_exactly_once(service, service.stop(), published)


def test_an_overloaded_worker_drops_nothing(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    """What it has no time for stays in the stream."""
    events = NumberedEvents(*DIRECTIVES)
    options = (*OPTIONS, "--max-queue=500", "--hang-timeout=0")
    with backend(tmp_path, frontend, nats.url, *options) as service:
        published = publish(nats, events.take(1000))
        wait_for_lines(service, published)
        os.kill(service.workers[0], signal.SIGSTOP)
        published += publish(nats, events.take(30_000))
        time.sleep(3)  # how long it is stopped; nothing is waited for
        assert service.lines() < published
        os.kill(service.workers[0], signal.SIGCONT)
        wait_for_lines(service, published)
        ended = service.stop()
        check_exactly_once(service, ended, published)
        assert ended.ledger["events_dropped_queue_full"] == 0


def test_the_server_is_killed_and_started_again(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        published = publish(nats, events.take(10_000))
        with JetStream(nats) as js:
            wait_until(lambda: js.last == published, "all in the stream")
        nats.kill()
        nats.start()
        published += publish(nats, events.take(1000))
        wait_for_lines(service, published)
        ended = service.stop()
        check_exactly_once(service, ended, published)


def test_a_stream_that_is_made_anew_and_a_router_that_dies_after_that(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    """The positions go on, though the sequences of the stream are lower than before."""
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        published = publish(nats, events.take(2000))
        wait_for_lines(service, published)
        with JetStream(nats) as js:
            js.delete()
            js.create()
        service.wait_for_log("the stream has changed")
        os.kill(service.router, signal.SIGKILL)
        published += publish(nats, events.take(1000))
        service.wait_for_children(3, service.router)
        wait_for_lines(service, published)
        check_exactly_once(service, service.stop(), published)


def test_what_expires_unread_is_counted(
    tmp_path: Path, nats: NatsServer, frontend: Frontend
) -> None:
    with JetStream(nats) as js:
        js.create(max_msgs=100)
    events = NumberedEvents(*DIRECTIVES)
    with backend(tmp_path, frontend, nats.url, *OPTIONS) as service:
        published = publish(nats, events.take(50))
        wait_for_lines(service, published)
        os.kill(service.router, signal.SIGSTOP)
        published += publish(nats, events.take(20_000))
        os.kill(service.router, signal.SIGCONT)
        published += publish(nats, events.take(10))
        last = f"e{published - 1}"
        wait_until(lambda: last in service.event_ids(), "the last event", LONG)
        time.sleep(1.5)  # the router reports twice a second, and workers save each second
        os.kill(service.router, signal.SIGKILL)
        service.wait_for_children(3, service.router)
        published += publish(nats, events.take(10))
        last = f"e{published - 1}"
        wait_until(lambda: last in service.event_ids(), "the last event", LONG)
        ended = service.stop()
        ended.ledger.check()
        ids = service.event_ids()
        assert len(ids) == len(set(ids)) == ended.ledger["events_received"] < published
        assert ended.ledger["feed_expired"] == published - len(ids)
