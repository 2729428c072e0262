"""The ledger of a service that reads a stream, while its processes report, die and restart."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shards.ipc.messages import RouterReport
from shards.ledger import Events, Feed
from shards.positions import base_of
from shards.supervisor.stream_aggregator import StreamLedgerAggregator
from tests.support.reports import router_report, worker_report

BASE = base_of(1)


def check(aggregator: StreamLedgerAggregator) -> None:
    """It adds up at any moment, nothing is below zero, and nothing is lost."""
    ledger = aggregator.total()
    assert ledger.adds_up, ledger
    assert all(count >= 0 for count in ledger.flat_counts().values()), ledger
    assert ledger.deliveries.lost.total() == ledger.rolled_back == 0
    assert ledger.unreported_seconds == 0
    assert ledger == aggregator.total(), "to ask changes nothing"


def deliveries(aggregator: StreamLedgerAggregator) -> dict[str, float]:
    check(aggregator)
    counts = aggregator.total().flat_counts().items()
    start = "deliveries_"
    return {name[len(start) :]: count for name, count in counts if name.startswith(start)}


def report_of(sent: int, read: int, received: int = 0, expired: int = 0) -> RouterReport:
    """A report of a router with one worker."""
    events = Events(received=received, routed=received)
    report = router_report(events, {0: (sent, 0, 0)}, feed=Feed(expired=expired))
    return replace(report, read=BASE + read)


@pytest.fixture
def aggregator() -> StreamLedgerAggregator:
    made = StreamLedgerAggregator(1)
    made.router_started()
    return made


def test_what_is_not_processed_yet_is_in_flight(aggregator: StreamLedgerAggregator) -> None:
    aggregator.router_reported(report_of(10, 20, 12))
    aggregator.worker_reported(0, worker_report(4))
    assert deliveries(aggregator) == {"sent": 10, "consumed": 4, "in_flight": 6}
    assert aggregator.read == BASE + 20


def test_after_a_death_of_a_worker_its_deliveries_are_in_flight_again(
    aggregator: StreamLedgerAggregator,
) -> None:
    aggregator.router_reported(report_of(10, 10))
    aggregator.worker_reported(0, worker_report(8))
    aggregator.checkpoint_holds(0, 4)
    aggregator.worker_ended(0, clean=False)
    aggregator.worker_reported(0, worker_report(4, position=BASE + 4))
    assert deliveries(aggregator) == {"sent": 10, "consumed": 4, "in_flight": 6}
    aggregator.worker_reported(0, worker_report(10))
    assert deliveries(aggregator) == {"sent": 10, "consumed": 10}


def test_a_router_sends_what_follows_the_checkpoints_again(
    aggregator: StreamLedgerAggregator,
) -> None:
    """The worker has 9 of 10, its checkpoint 4; the next router reads on to 15."""
    aggregator.router_reported(report_of(10, 10, 10))
    aggregator.worker_reported(0, worker_report(9))
    aggregator.checkpoint_holds(0, 4)
    aggregator.router_ended(1, 0.5)
    assert deliveries(aggregator) == {"sent": 9, "consumed": 9}
    aggregator.router_started()
    aggregator.router_reported(report_of(6, 10))
    assert deliveries(aggregator) == {"sent": 10, "consumed": 9, "in_flight": 1}
    aggregator.router_reported(report_of(11, 15, 5))
    aggregator.worker_reported(0, worker_report(15, life=2))
    assert deliveries(aggregator) == {"sent": 15, "consumed": 15}
    assert aggregator.total().events.received == 15


def test_what_a_router_had_not_reported_is_counted_by_the_next(
    aggregator: StreamLedgerAggregator,
) -> None:
    aggregator.router_reported(report_of(2, 5, 5))
    aggregator.worker_reported(0, worker_report(7))  # of 12 that the router had read
    aggregator.router_ended(1, 0.5)
    assert aggregator.read == BASE + 5
    aggregator.router_started()
    aggregator.router_reported(report_of(12, 12, 7))
    assert deliveries(aggregator) == {"sent": 12, "consumed": 7, "in_flight": 5}
    assert aggregator.total().events.received == 12


def test_how_far_was_read_never_goes_back(aggregator: StreamLedgerAggregator) -> None:
    aggregator.router_reported(report_of(0, 10, 10))
    aggregator.router_ended(1, 0.0)
    aggregator.router_started()
    aggregator.router_reported(report_of(0, 3))
    assert aggregator.read == BASE + 10


def test_routers_that_die_before_they_report(aggregator: StreamLedgerAggregator) -> None:
    aggregator.router_reported(report_of(10, 10, 10, expired=3))
    aggregator.worker_reported(0, worker_report(6))
    aggregator.checkpoint_holds(0, 6)
    for life in (1, 2, 3):
        aggregator.router_ended(life, 0.0)
        assert deliveries(aggregator) == {"sent": 6, "consumed": 6}
        aggregator.router_started()
        assert deliveries(aggregator) == {"sent": 6, "consumed": 6}
    aggregator.router_reported(report_of(4, 10, 0))
    assert deliveries(aggregator) == {"sent": 10, "consumed": 6, "in_flight": 4}
    assert aggregator.total().feed.expired == 3
    assert aggregator.total().events.received == 10


# Random histories.

LANES = (0, 1)


def is_for(sequence: int, worker: int) -> bool:
    """Some messages are for nobody, some for one worker, some for both."""
    return bool(sequence % 4 & (1 << worker))


@dataclass
class Worker:
    """A worker, what is in its data pipes, and what its checkpoint holds."""

    position: int = 0
    processed: int = 0
    saved: tuple[int, int] = (0, 0)
    """Position and number of deliveries."""
    is_up: bool = True
    life: int = 1
    pipes: list[tuple[int, list[int]]] = field(default_factory=list)
    """Router's life, and sequences that have been written and not read."""


class World:
    """A stream, a router and two workers that report, now and then, what they do."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.aggregator = StreamLedgerAggregator(len(LANES))
        self.published = 0
        self._life = 0
        self._workers = [Worker() for _ in LANES]
        self._starts = [(0, 0) for _ in LANES]
        """By worker: what the supervisor knows of its checkpoint."""
        self._start_router()

    def _start_router(self) -> None:
        self._life += 1
        self._from = [position for position, _ in self._starts]
        self._counted = self.aggregator.read - BASE if self.aggregator.read else 0
        self.aggregator.router_started()
        self._read = min(*self._from, self._counted)
        self._received = 0
        self._sent: Counter[int] = Counter()
        self._kept: list[list[int]] = [[] for _ in LANES]
        for worker in self._workers:
            if worker.is_up:
                worker.pipes.append((self._life, []))

    def _some(self) -> tuple[int, Worker]:
        number = self._random.choice(LANES)
        return number, self._workers[number]

    def publish(self) -> None:
        self.published += self._random.randrange(1, 8)

    def read(self) -> None:
        self._read_to(min(self.published, self._read + self._random.randrange(1, 12)))

    def _read_to(self, end: int) -> None:
        for sequence in range(self._read + 1, end + 1):
            self._received += sequence > self._counted
            for number, worker in enumerate(self._workers):
                if is_for(sequence, number) and sequence > self._from[number]:
                    self._sent[number] += 1
                    self._kept[number].append(sequence)
                    if worker.is_up and worker.pipes:
                        worker.pipes[-1][1].append(sequence)
        self._read = max(self._read, end)

    def work(self) -> None:
        number, _ = self._some()
        self._work(number, self._random.randrange(6))

    def _work(self, number: int, most: int) -> None:
        worker = self._workers[number]
        if not (worker.is_up and worker.pipes):
            return
        life, unread = worker.pipes[0]
        if life > worker.life:
            worker.life = life
            self._report(number)
        for _ in range(min(most, len(unread))):
            sequence = unread.pop(0)
            if sequence > worker.position:
                worker.position = sequence
                worker.processed += 1
        if not unread and len(worker.pipes) > 1:
            worker.pipes.pop(0)

    def save(self) -> None:
        _, worker = self._some()
        if worker.is_up:
            worker.saved = (worker.position, worker.processed)

    def report_worker(self) -> None:
        number, worker = self._some()
        if worker.is_up:
            self._report(number)

    def _report(self, number: int) -> None:
        worker = self._workers[number]
        position = BASE + worker.position if worker.position else 0
        report = worker_report(worker.processed, position=position, life=worker.life)
        self.aggregator.worker_reported(number, report)
        self._note_start(number, worker.saved)

    def _note_start(self, number: int, saved: tuple[int, int]) -> None:
        self._starts[number] = saved
        self.aggregator.checkpoint_holds(number, saved[1])
        self._kept[number] = [each for each in self._kept[number] if each > saved[0]]

    def report_router(self) -> None:
        routed = sum(
            any(is_for(each, number) for number in LANES)
            for each in range(self._counted + 1, max(self._read, self._counted) + 1)
        )
        events = Events(self._received, routed, self._received - routed)
        queues = {number: (self._sent[number], 0, 0) for number in LANES}
        report = router_report(events, queues)
        self.aggregator.router_reported(replace(report, read=BASE + self._read))

    def kill_worker(self) -> None:
        number, worker = self._some()
        if worker.is_up:
            if self._random.random() < 0.5:
                self._report(number)
            self.aggregator.worker_ended(number, clean=False)
            worker.is_up, worker.pipes = False, []

    def start_worker(self) -> None:
        for number, worker in enumerate(self._workers):
            if not worker.is_up:
                worker.is_up, worker.life = True, 0
                worker.position, worker.processed = worker.saved
                self._note_start(number, worker.saved)
                worker.pipes = [(self._life, list(self._kept[number]))]

    def kill_router(self) -> None:
        self.aggregator.router_ended(self._life, 0.5)
        check(self.aggregator)
        for worker in self._workers:
            if worker.pipes and self._random.random() < 0.5:
                unread = worker.pipes[-1][1]
                del unread[len(unread) // 2 :]
        self._start_router()

    def stop(self) -> None:
        """All is read, written, done and reported."""
        self._read_to(self.published)
        self.start_worker()
        self.report_router()
        for number, worker in enumerate(self._workers):
            while worker.pipes[0][1] or len(worker.pipes) > 1:
                self._work(number, 100)
            self._report(number)
        check(self.aggregator)
        assert self.aggregator.total().deliveries.in_flight == 0
        self.aggregator.router_ended(self._life)
        for number in LANES:
            self.aggregator.worker_ended(number, clean=True)
        self.aggregator.close()


ACTS = (
    *[World.publish] * 3,
    *[World.read] * 4,
    *[World.work] * 5,
    *[World.report_router] * 2,
    *[World.report_worker] * 3,
    *[World.start_worker] * 2,
    *[World.save] * 2,
    World.kill_worker,
    World.kill_router,
)


@given(st.randoms(use_true_random=False), st.integers(0, 80))
def test_whatever_dies_each_message_is_counted_once(random: Random, acts: int) -> None:
    world = World(random)
    for _ in range(acts):
        random.choice(ACTS)(world)
        check(world.aggregator)
    world.stop()
    check(world.aggregator)
    ledger = world.aggregator.total()
    sequences = range(1, world.published + 1)
    wanted = sum(is_for(each, number) for each in sequences for number in LANES)
    assert ledger.events.received == world.published
    assert ledger.events.routed == sum(each % 4 > 0 for each in sequences)
    assert (ledger.deliveries.sent, ledger.deliveries.consumed) == (wanted, wanted)
    assert ledger.deliveries.in_flight == 0
