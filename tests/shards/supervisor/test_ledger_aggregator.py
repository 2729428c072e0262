"""The ledger of all processes while they report, die and restart."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.ledger import FORMER, Events, Feed, LookupCounts
from shards.positions import base_of
from shards.supervisor.ledger_aggregator import MAX_PAST_SOURCES, LedgerAggregator
from tests.support.reports import router_report, worker_report


def check(aggregator: LedgerAggregator) -> None:
    """It adds up at any moment, and no count is below zero."""
    ledger = aggregator.total()
    assert ledger.adds_up, ledger
    assert all(count >= 0 for count in ledger.flat_counts().values()), ledger
    assert ledger == aggregator.total(), "to ask changes nothing"


def deliveries(aggregator: LedgerAggregator) -> dict[str, float]:
    check(aggregator)
    counts = aggregator.total().flat_counts().items()
    start = "deliveries_"
    return {name[len(start) :]: count for name, count in counts if name.startswith(start)}


@pytest.fixture
def aggregator() -> LedgerAggregator:
    return LedgerAggregator(2)


def test_what_is_not_processed_yet_is_in_flight(aggregator: LedgerAggregator) -> None:
    aggregator.router_reported(router_report(queues={0: (10, 1, 2)}))
    aggregator.worker_reported(0, worker_report(4))
    assert deliveries(aggregator) == {
        "sent": 10,
        "dropped_queue_full": 1,
        "consumed": 4,
        "in_flight": 5,
    }


def test_a_worker_may_report_before_the_router(aggregator: LedgerAggregator) -> None:
    aggregator.worker_reported(0, worker_report(4))
    assert deliveries(aggregator) == {"sent": 4, "consumed": 4}


def test_after_a_death_of_a_worker_all_of_its_deliveries_are_in_flight_again(
    aggregator: LedgerAggregator,
) -> None:
    aggregator.router_reported(router_report(queues={0: (10, 0, 3)}))
    aggregator.worker_reported(0, worker_report(6, position=base_of(1) + 6, saved=base_of(1) + 4))
    aggregator.worker_ended(0, clean=False)
    assert deliveries(aggregator) == {"sent": 10, "consumed": 6, "in_flight": 4}
    aggregator.worker_reported(0, worker_report(4, position=base_of(1) + 4))
    assert deliveries(aggregator) == {"sent": 10, "consumed": 4, "in_flight": 6}
    aggregator.worker_reported(0, worker_report(10, position=base_of(1) + 10))
    aggregator.worker_ended(0, clean=True)
    aggregator.router_ended(1)
    aggregator.close()
    assert deliveries(aggregator) == {"sent": 10, "consumed": 10}
    assert aggregator.total().rolled_back == 0


def test_what_a_dead_router_had_sent_is_lost_when_the_worker_takes_the_next_one(
    aggregator: LedgerAggregator,
) -> None:
    aggregator.router_reported(router_report(queues={0: (10, 0, 3)}))
    aggregator.worker_reported(0, worker_report(5, position=base_of(1) + 5))
    aggregator.router_ended(1, 0.25)
    assert deliveries(aggregator) == {"sent": 10, "consumed": 5, "in_flight": 5}
    aggregator.router_reported(router_report(queues={0: (2, 0, 0)}))
    aggregator.worker_reported(0, worker_report(7, position=base_of(1) + 7))
    aggregator.worker_reported(0, worker_report(7, position=base_of(1) + 7, life=2))
    expected = {"sent": 12, "consumed": 7, "lost_router_died": 3, "in_flight": 2}
    assert deliveries(aggregator) == expected
    aggregator.worker_reported(0, worker_report(7, position=base_of(1) + 7, life=2))
    assert deliveries(aggregator) == expected
    assert aggregator.total().unreported_seconds == 0.25


def test_a_router_that_had_sent_more_than_it_reported(aggregator: LedgerAggregator) -> None:
    aggregator.router_reported(router_report(queues={0: (10, 0, 3)}))
    aggregator.router_ended(1, 0.25)
    aggregator.worker_reported(0, worker_report(12, position=base_of(1) + 12))
    aggregator.worker_reported(0, worker_report(12, position=base_of(1) + 12, life=2))
    assert deliveries(aggregator) == {"sent": 12, "consumed": 12}


def test_what_a_second_router_had_sent_before_it_died_is_not_lost_while_the_worker_reads(
    aggregator: LedgerAggregator,
) -> None:
    aggregator.router_ended(1, 0.0)
    aggregator.router_reported(router_report(queues={0: (8, 0, 0)}))
    aggregator.router_ended(2, 0.0)
    aggregator.worker_reported(0, worker_report(0, position=0, life=2))
    assert deliveries(aggregator) == {"sent": 8, "in_flight": 8}
    aggregator.worker_reported(0, worker_report(8, position=base_of(2) + 8, life=2))
    aggregator.close()
    assert deliveries(aggregator) == {"sent": 8, "consumed": 8}


def test_what_a_worker_had_done_since_its_checkpoint_is_lost_with_the_router(
    aggregator: LedgerAggregator,
) -> None:
    """Both die, and nobody has what came after the checkpoint."""
    aggregator.router_reported(router_report(queues={0: (10, 0, 0)}))
    aggregator.worker_reported(0, worker_report(9, position=base_of(1) + 9))
    aggregator.worker_ended(0, clean=False)
    aggregator.router_ended(1, 0.0)
    aggregator.worker_reported(0, worker_report(4, position=base_of(1) + 4, life=0))
    aggregator.worker_reported(0, worker_report(4, position=base_of(1) + 4, life=2))
    assert deliveries(aggregator) == {"sent": 10, "consumed": 4, "lost_router_died": 6}


@pytest.mark.parametrize("reported", [10, 0])
def test_what_a_worker_had_from_a_dead_router_and_does_not_get_again_is_rolled_back(
    aggregator: LedgerAggregator, reported: int
) -> None:
    """Its lines are written; also if the router had not reported what it had sent."""
    aggregator.router_reported(router_report(queues={0: (reported, 0, 0)}))
    aggregator.worker_reported(0, worker_report(8))
    aggregator.router_ended(1, 0.5)
    aggregator.worker_ended(0, clean=False)
    aggregator.worker_reported(0, worker_report(5, life=0, position=base_of(1) + 5))
    check(aggregator)
    aggregator.worker_reported(0, worker_report(5, life=2, position=base_of(1) + 5))
    sent = max(reported, 8)
    assert deliveries(aggregator) == {"sent": sent, "consumed": 5, "lost_router_died": sent - 5}
    assert aggregator.total().rolled_back == 3
    aggregator.router_reported(router_report(queues={0: (2, 0, 0)}))
    aggregator.worker_reported(0, worker_report(7, life=2))
    assert deliveries(aggregator)["sent"] == sent + 2
    assert aggregator.total().rolled_back == 3


@pytest.mark.parametrize("dies_again", [True, False])
def test_a_second_death_before_all_was_given_again_rolls_back_what_the_first_worker_had(
    aggregator: LedgerAggregator, dies_again: bool
) -> None:
    """Its lines are written. The router dies as well, so that nobody gives the rest again."""
    aggregator.router_reported(router_report(queues={0: (10, 0, 0)}))
    aggregator.worker_reported(0, worker_report(9, position=base_of(1) + 9))
    aggregator.worker_ended(0, clean=False)
    aggregator.worker_reported(0, worker_report(4, position=base_of(1) + 4))
    aggregator.worker_reported(0, worker_report(6, position=base_of(1) + 6))
    if dies_again:
        aggregator.worker_ended(0, clean=False)
        aggregator.worker_reported(0, worker_report(4, life=0, position=base_of(1) + 4))
    aggregator.router_ended(1, 0.0)
    left = 4 if dies_again else 6
    aggregator.worker_reported(0, worker_report(left, life=2, position=base_of(1) + left))
    lost = {"sent": 10, "consumed": left, "lost_router_died": 10 - left}
    assert deliveries(aggregator) == lost
    assert aggregator.total().rolled_back == 9 - left


def test_a_worker_that_dies_twice_and_is_not_started_again_rolls_back_what_it_had_first(
    aggregator: LedgerAggregator,
) -> None:
    aggregator.router_reported(router_report(queues={0: (10, 0, 0)}))
    for processed in (9, 6):
        position = base_of(1) + processed
        report = worker_report(processed, position=position, saved=base_of(1) + 4)
        aggregator.worker_reported(0, report)
        aggregator.worker_ended(0, clean=False)
    aggregator.router_ended(1)
    aggregator.close()
    assert aggregator.total().rolled_back == 5


def test_what_a_living_router_gives_again_is_not_rolled_back(aggregator: LedgerAggregator) -> None:
    aggregator.router_ended(1, 0.5)
    aggregator.worker_reported(0, worker_report(0, life=2, position=0))
    aggregator.router_reported(router_report(queues={0: (9, 0, 0)}))
    aggregator.worker_reported(0, worker_report(9, life=2))
    aggregator.worker_ended(0, clean=False)
    aggregator.worker_reported(0, worker_report(0, life=2, position=0))
    assert deliveries(aggregator) == {"sent": 9, "in_flight": 9}
    assert aggregator.total().rolled_back == 0


def test_a_worker_that_dies_before_it_has_got_anything_rolls_nothing_back(
    aggregator: LedgerAggregator,
) -> None:
    aggregator.worker_reported(0, worker_report(0, position=0))
    aggregator.worker_ended(0, clean=False)
    aggregator.close()
    assert aggregator.total().rolled_back == 0


def test_a_worker_that_is_not_started_again_leaves_nothing_in_flight(
    aggregator: LedgerAggregator,
) -> None:
    aggregator.router_reported(router_report(queues={0: (10, 0, 4)}))
    aggregator.worker_reported(0, worker_report(5, position=base_of(1) + 5, saved=base_of(1) + 3))
    aggregator.worker_ended(0, clean=False)
    aggregator.router_ended(1)
    aggregator.close()
    assert deliveries(aggregator) == {"sent": 10, "consumed": 5, "lost_worker_died": 5}
    assert aggregator.total().rolled_back == 2


def test_without_checkpoints_a_worker_begins_at_zero_and_its_backlogs_are_interrupted() -> None:
    aggregator = LedgerAggregator(1, has_checkpoints=False)
    aggregator.router_reported(router_report(queues={0: (10, 0, 0)}))
    aggregator.worker_reported(0, worker_report(6, opened=5, still_open=3))
    aggregator.worker_ended(0, clean=False)
    aggregator.router_reported(router_report(queues={0: (10, 0, 0)}, lost={0: 4}))
    aggregator.router_reported(router_report(queues={0: (12, 0, 0)}, lost={0: 4}))
    aggregator.worker_reported(0, worker_report(2, opened=2, still_open=1))
    assert deliveries(aggregator) == {"sent": 12, "consumed": 8, "lost_worker_died": 4}
    assert aggregator.total().rolled_back == 6
    assert aggregator.total().backlogs == Counter(
        opened=7, finished=3, open=1, interrupted=3, expired=0, restored=0
    )


def test_counts_of_all_routers_are_added(aggregator: LedgerAggregator) -> None:
    events = Events(9, 2, 3, 1, Counter(bad_json=2), Counter(other=1))
    for life, seconds in ((1, 0.5), (2, 0.25)):
        aggregator.router_reported(router_report(events, feed=Feed(1, 2.5, 10)))
        aggregator.router_ended(life, seconds)
    aggregator.router_reported(router_report(events, feed=Feed(2, 1.0, 0)))
    ledger = aggregator.total()
    assert ledger.events == Events(27, 6, 9, 3, Counter(bad_json=6), Counter(other=3))
    assert ledger.unreported_seconds == 0.75
    assert ledger.feed == Feed(4, 6.0, 20)


def test_lookups_that_a_dead_worker_waited_for_are_errors_once(
    aggregator: LedgerAggregator,
) -> None:
    report = worker_report(1)
    report.ledger.lookups["a"] = LookupCounts(asked=3, found=1, waiting=2)
    aggregator.worker_reported(0, report)
    for _ in range(2):  # the second one dies before its first report
        aggregator.worker_ended(0, clean=False)
        assert aggregator.total().lookups == {
            "a": LookupCounts(asked=3, found=1, errors=Counter(worker_died=2))
        }
    check(aggregator)


@pytest.mark.parametrize("has_checkpoints", [True, False])
def test_the_names_of_lookup_sources_stay_bounded_over_deaths_and_reloads(
    has_checkpoints: bool,
) -> None:
    """Each life of the worker has other sources; all that was asked stays counted."""
    aggregator = LedgerAggregator(1, has_checkpoints=has_checkpoints)
    lives = 3 * MAX_PAST_SOURCES
    for number in range(lives):
        report = worker_report(number)
        report.ledger.lookups[f"s{number}"] = LookupCounts(asked=2, found=1, errors=Counter(x=1))
        aggregator.worker_reported(0, report)
        aggregator.worker_ended(0, clean=False)
    lookups = aggregator.total().lookups
    assert len(lookups) == MAX_PAST_SOURCES
    assert lookups[f"s{lives - 1}"].asked == 2
    assert lookups[FORMER].errors["x"] == lives - MAX_PAST_SOURCES + 1
    assert sum(counts.asked for counts in lookups.values()) == 2 * lives


def test_a_worker_that_took_events_late_is_noticed_once(aggregator: LedgerAggregator) -> None:
    reports = [worker_report(n, late=late) for n, late in ((1, 0), (2, 3), (3, 3))]
    found = [aggregator.worker_reported(0, report) for report in reports]
    assert found == [False, True, False]
    assert aggregator.total().late == 3


@pytest.mark.parametrize(
    ("queued", "done", "waits"), [(2, 7, True), (2, 8, False), (10, 0, False), (0, 0, True)]
)
def test_only_what_was_written_waits_for_the_worker(
    aggregator: LedgerAggregator, queued: int, done: int, waits: bool
) -> None:
    """The send queue may wait for a checkpoint: a worker is not killed for that."""
    aggregator.router_reported(router_report(queues={0: (10, 0, queued)}))
    aggregator.worker_reported(0, worker_report(done))
    assert aggregator.has_waiting_events(0) == waits


def test_nothing_waits_for_a_worker_without_a_router_or_its_pipe(
    aggregator: LedgerAggregator,
) -> None:
    """A router may take minutes to start: workers are not killed for that."""
    aggregator.router_reported(router_report(queues={0: (10, 0, 0)}, without_pipe=[0]))
    assert not aggregator.has_waiting_events(0)
    aggregator.router_reported(router_report(queues={0: (10, 0, 0)}))
    assert aggregator.has_waiting_events(0)
    aggregator.router_ended(1, 1.0)
    assert not aggregator.has_waiting_events(0)
    assert aggregator.in_flight(0) == 10


# Random histories.


class Lane:
    """What truly happens between routers and one worker."""

    def __init__(self) -> None:
        self.queued = self.dropped = self.lost = self.sent = 0
        self.position = self.life = self.consumed = 0
        self.saved = (0, 0)
        self.is_up = True
        self.unread: list[list[int]] = [[1, 0]]
        """Data pipes: life, and how much is in it."""
        self.kept = 0
        """Written by the present router, and in no checkpoint."""


class World:
    """Two workers and a router that report, now and then, what they do."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.aggregator = LedgerAggregator(2)
        self.router_died = False
        self.total_sent = 0
        self._life = 1
        self._lanes = [Lane(), Lane()]
        for number in (0, 1):
            self._begin(number)

    def _lane(self) -> tuple[int, Lane]:
        number = self._random.randrange(2)
        return number, self._lanes[number]

    def offer(self) -> None:
        _, lane = self._lane()
        count = self._random.randrange(1, 5)
        lane.sent += count
        self.total_sent += count
        if self._random.random() < 0.2:
            lane.dropped += count
        else:
            lane.queued += count

    def write(self) -> None:
        _, lane = self._lane()
        if lane.is_up:
            self._write(lane, self._random.randint(0, lane.queued))

    def _write(self, lane: Lane, count: int) -> None:
        lane.queued -= count
        lane.kept += count
        lane.unread[-1][1] += count

    def work(self) -> None:
        number, lane = self._lane()
        if lane.is_up:
            self._work(number, self._random.randint(0, lane.unread[0][1]))

    def _work(self, number: int, count: int) -> None:
        lane = self._lanes[number]
        pipe = lane.unread[0]
        pipe[1] -= count
        lane.consumed += count
        if count:
            lane.position = max(lane.position, base_of(pipe[0])) + count
        if not pipe[1] and len(lane.unread) > 1:
            lane.unread.pop(0)
            self._begin(number)

    def _begin(self, number: int) -> None:
        lane = self._lanes[number]
        lane.life = lane.unread[0][0]
        self._report_worker(number)

    def save(self) -> None:
        _, lane = self._lane()
        if lane.is_up:
            lane.saved = (lane.position, lane.consumed)
            if lane.life == self._life:
                lane.kept = lane.unread[-1][1]

    def report_router(self) -> None:
        queues = {n: (lane.sent, lane.dropped, lane.queued) for n, lane in enumerate(self._lanes)}
        total = sum(lane.sent for lane in self._lanes)
        lost = {n: lane.lost for n, lane in enumerate(self._lanes) if lane.lost}
        self.aggregator.router_reported(router_report(Events(total, total), queues, lost))

    def report_worker(self) -> None:
        number, lane = self._lane()
        if lane.is_up:
            self._report_worker(number)

    def _report_worker(self, number: int) -> None:
        lane = self._lanes[number]
        report = worker_report(lane.consumed, position=lane.position, life=lane.life)
        self.aggregator.worker_reported(number, report)

    def kill_worker(self) -> None:
        number, lane = self._lane()
        if lane.is_up:
            self._report_worker(number)  # all reports of a dead worker are read
            self.aggregator.worker_ended(number, clean=False)
            lane.is_up = False
            lane.unread = []

    def start_worker(self) -> None:
        for number, lane in enumerate(self._lanes):
            if not lane.is_up:
                lane.is_up = True
                lane.life = 0
                lane.position, lane.consumed = lane.saved
                self._report_worker(number)
                self._connect(number)

    def _connect(self, number: int) -> None:
        """The router writes again what it has kept."""
        lane = self._lanes[number]
        lane.unread.append([self._life, lane.kept])
        if len(lane.unread) == 1:
            self._begin(number)

    def kill_router(self) -> None:
        self.router_died = True
        self.aggregator.router_ended(self._life, 0.5)
        self._life += 1
        for number, lane in enumerate(self._lanes):
            lane.sent = lane.dropped = lane.lost = lane.queued = lane.kept = 0
            if lane.is_up:
                lane.unread.append([self._life, 0])
                self._work(number, 0)

    def stop(self) -> None:
        """All that is queued is written, all that is written is done."""
        self.start_worker()
        for lane in self._lanes:
            self._write(lane, lane.queued)
        self.report_router()
        self.aggregator.router_ended(self._life)
        for number, lane in enumerate(self._lanes):
            while lane.unread[0][1] or len(lane.unread) > 1:
                self._work(number, lane.unread[0][1])
            self._report_worker(number)
            self.aggregator.worker_ended(number, clean=True)
        self.aggregator.close()


ACTS = (
    *[World.offer] * 4,
    *[World.write] * 4,
    *[World.work] * 4,
    *[World.report_router] * 2,
    *[World.report_worker] * 3,
    *[World.start_worker] * 2,
    World.save,
    World.kill_worker,
    World.kill_router,
)


@given(st.randoms(use_true_random=False), st.integers(0, 60), st.booleans())
def test_it_adds_up_whatever_happens(random: Random, acts: int, routers_die: bool) -> None:
    world = World(random)
    for _ in range(acts):
        act = random.choice(ACTS)
        if routers_die or act is not World.kill_router:
            act(world)
            check(world.aggregator)
    world.stop()
    check(world.aggregator)
    counts = world.aggregator.total().deliveries
    assert counts.in_flight == 0
    assert counts.sent <= world.total_sent
    if not world.router_died:
        assert counts.sent == world.total_sent
        assert not counts.lost.total(), "a worker's death loses nothing"
