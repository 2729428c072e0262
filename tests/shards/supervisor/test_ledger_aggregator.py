"""The ledger of all processes while they report, die and restart."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.ledger import Events, Feed
from shards.supervisor.ledger_aggregator import LedgerAggregator
from tests.support.reports import router_report, worker_report

Step = Callable[[LedgerAggregator], object]


def opens(link: int, worker: int) -> Step:
    return lambda aggregator: aggregator.pipe_opened(link, worker)


def router(queues: dict[int, tuple[int, int, int]], written: dict[int, int]) -> Step:
    """It reports: sent, dropped and queued by worker; all events are for one worker each."""
    total = sum(sent for sent, _, _ in queues.values())
    report = router_report(Events(received=total, routed=total), queues, written)
    return lambda aggregator: aggregator.router_reported(report)


def worker(
    number: int, done: dict[int, int], *ended: int, opened: int = 0, still_open: int = 0
) -> Step:
    report = worker_report(done, ended, opened=opened, still_open=still_open)
    return lambda aggregator: aggregator.worker_reported(number, report)


def worker_gone(number: int, *, clean: bool = False) -> Step:
    return lambda aggregator: aggregator.worker_ended(number, clean=clean)


def router_gone(seconds: float | None = None) -> Step:
    return lambda aggregator: aggregator.router_ended(seconds)


END = [worker_gone(0, clean=True), worker_gone(1, clean=True)]
HISTORIES: dict[str, tuple[list[Step], dict[str, float]]] = {
    "nothing happened": ([], {}),
    "on its way": (
        [opens(1, 0), router({0: (10, 1, 2)}, {1: 7}), worker(0, {1: 4})],
        {"sent": 10, "dropped_queue_full": 1, "consumed": 4, "in_flight": 5},
    ),
    "a worker may speak before the router": (
        [opens(1, 0), worker(0, {1: 4})],
        {"sent": 4, "consumed": 4},
    ),
    "an orderly end": (
        [
            opens(1, 0),
            opens(2, 1),
            router({0: (10, 0, 0), 1: (5, 0, 0)}, {1: 10, 2: 5}),
            worker(0, {1: 8}),
            router_gone(),
            worker(0, {1: 10}, 1),
            worker(1, {2: 5}, 2),
            *END,
        ],
        {"sent": 15, "consumed": 15},
    ),
    "a worker dies, and the queue waits for the next": (
        [
            opens(1, 0),
            router({0: (10, 0, 3)}, {1: 7}),
            worker(0, {1: 4}),
            worker_gone(0),
            opens(2, 0),
            router({0: (12, 0, 0)}, {1: 8, 2: 4}),
            worker(0, {2: 4}),
        ],
        {"sent": 12, "consumed": 8, "lost_worker_died": 4},
    ),
    "until the router has its new pipe, nothing of the old one is lost": (
        [
            opens(1, 0),
            router({0: (10, 0, 3)}, {1: 7}),
            worker(0, {1: 4}),
            worker_gone(0),
            opens(2, 0),
        ],
        {"sent": 10, "consumed": 4, "in_flight": 6},
    ),
    "a worker that said nothing before it died": (
        [
            opens(1, 0),
            router({0: (10, 0, 0)}, {1: 10}),
            worker_gone(0),
            opens(2, 0),
            router({0: (10, 0, 0)}, {1: 10, 2: 0}),
        ],
        {"sent": 10, "lost_worker_died": 10},
    ),
    "two deaths in a row": (
        [
            opens(1, 0),
            router({0: (5, 0, 0)}, {1: 5}),
            worker_gone(0),
            opens(2, 0),
            router({0: (9, 0, 0)}, {1: 5, 2: 4}),
            worker_gone(0),
            opens(3, 0),
            router({0: (12, 0, 1)}, {1: 5, 2: 4, 3: 2}),
            worker(0, {3: 2}),
        ],
        {"sent": 12, "lost_worker_died": 9, "consumed": 2, "in_flight": 1},
    ),
    "a router dies: what it had queued is lost, what it had written is not": (
        [
            opens(1, 0),
            router({0: (10, 0, 3)}, {1: 7}),
            router_gone(0.25),
            worker(0, {1: 7}, 1),
        ],
        {"sent": 10, "consumed": 7, "lost_router_died": 3, "unreported_seconds": 0.25},
    ),
    "a router dies after it wrote what it had said was queued": (
        [opens(1, 0), router({0: (10, 0, 3)}, {1: 7}), router_gone(0.25), worker(0, {1: 9}, 1)],
        {"sent": 10, "consumed": 9, "lost_router_died": 1, "unreported_seconds": 0.25},
    ),
    "a router dies and had done more than it had said": (
        [opens(1, 0), router({0: (10, 0, 3)}, {1: 7}), router_gone(0.25), worker(0, {1: 12}, 1)],
        {"sent": 12, "consumed": 12, "unreported_seconds": 0.25},
    ),
    "a router that had never spoken": (
        [opens(1, 0), router_gone(0.25), worker(0, {1: 6}, 1)],
        {"sent": 6, "consumed": 6, "unreported_seconds": 0.25},
    ),
    "a router queues for a worker that it has no pipe to": (
        [router({0: (5, 1, 4)}, {}), router_gone(0.25)],
        {"sent": 5, "dropped_queue_full": 1, "lost_router_died": 4, "unreported_seconds": 0.25},
    ),
    "two lives of the router": (
        [
            opens(1, 0),
            router({0: (10, 2, 0)}, {1: 8}),
            router_gone(0.25),
            opens(2, 0),
            worker(0, {1: 8}, 1),
            router({0: (5, 0, 1)}, {2: 4}),
            worker(0, {1: 8, 2: 3}, 1),
            router_gone(0.5),
            worker(0, {1: 8, 2: 4}, 1, 2),
        ],
        {
            "sent": 15,
            "dropped_queue_full": 2,
            "consumed": 12,
            "lost_router_died": 1,
            "unreported_seconds": 0.75,
        },
    ),
    "both ends die at once": (
        [
            opens(1, 0),
            router({0: (10, 0, 2)}, {1: 8}),
            worker(0, {1: 5}),
            router_gone(0.25),
            worker_gone(0),
        ],
        {"sent": 10, "consumed": 5, "lost_worker_died": 5, "unreported_seconds": 0.25},
    ),
    "both ends die at once, the other first": (
        [
            opens(1, 0),
            router({0: (10, 0, 2)}, {1: 8}),
            worker(0, {1: 5}),
            worker_gone(0),
            router_gone(0.25),
        ],
        {"sent": 10, "consumed": 5, "lost_router_died": 5, "unreported_seconds": 0.25},
    ),
    "a worker dies while the service stops": (
        [
            opens(1, 0),
            router({0: (10, 0, 4)}, {1: 6}),
            worker(0, {1: 5}),
            worker_gone(0),
            router_gone(),
        ],
        {"sent": 10, "consumed": 5, "lost_worker_died": 5},
    ),
    "a death of one is nothing to the other": (
        [
            opens(1, 0),
            opens(2, 1),
            router({0: (4, 0, 0), 1: (6, 0, 0)}, {1: 4, 2: 6}),
            worker(1, {2: 5}),
            worker_gone(0),
            opens(3, 0),
            router({0: (4, 0, 0), 1: (6, 0, 0)}, {1: 4, 2: 6, 3: 0}),
        ],
        {"sent": 10, "lost_worker_died": 4, "consumed": 5, "in_flight": 1},
    ),
    "reports of links that are settled change nothing": (
        [
            opens(1, 0),
            router({0: (5, 0, 0)}, {1: 5}),
            router_gone(0.25),
            worker(0, {1: 5}, 1),
            opens(2, 0),
            router({0: (2, 0, 0)}, {2: 2}),
            worker(0, {1: 5, 2: 2}, 1),
            worker(0, {1: 5, 2: 2}, 1),
        ],
        {"sent": 7, "consumed": 7, "unreported_seconds": 0.25},
    ),
}


@pytest.mark.parametrize(("steps", "expected"), HISTORIES.values(), ids=HISTORIES)
def test_history(steps: list[Step], expected: dict[str, float]) -> None:
    aggregator = LedgerAggregator()
    for step in steps:
        step(aggregator)
        check(aggregator)
    found = {
        name.removeprefix("deliveries_"): count
        for name, count in aggregator.total().flat_counts().items()
        if name.startswith(("deliveries_", "unreported"))
    }
    assert found == expected


def check(aggregator: LedgerAggregator) -> None:
    """It adds up at any moment, and no count is below zero."""
    ledger = aggregator.total()
    assert ledger.adds_up
    assert all(count >= 0 for count in ledger.flat_counts().values()), ledger
    assert ledger == aggregator.total(), "to ask changes nothing"


def test_counts_of_all_restarts_are_added() -> None:
    aggregator = LedgerAggregator()
    events = Events(9, 2, 3, 1, Counter(bad_json=2), Counter(other=1))
    for seconds in (0.5, 0.25):
        aggregator.router_reported(router_report(events))
        aggregator.router_ended(seconds)
    aggregator.router_reported(router_report(events))
    ledger = aggregator.total()
    assert ledger.events == Events(27, 6, 9, 3, Counter(bad_json=6), Counter(other=3))
    assert ledger.unreported_seconds == 0.75


def test_backlogs_of_a_worker_that_dies_are_interrupted() -> None:
    aggregator = LedgerAggregator()
    aggregator.worker_reported(0, worker_report({}, opened=5, still_open=3))
    assert aggregator.total().backlogs == Counter(
        opened=5, finished=2, open=3, expired=0, restored=0, interrupted=0
    )
    aggregator.worker_ended(0, clean=False)
    aggregator.worker_reported(0, worker_report({}, opened=4, still_open=1))
    assert aggregator.total().backlogs == Counter(
        opened=9, finished=5, open=1, interrupted=3, expired=0, restored=0
    )
    aggregator.worker_ended(0, clean=True)
    assert aggregator.total().backlogs == Counter(
        opened=9, finished=5, open=1, interrupted=3, expired=0, restored=0
    )


def test_only_running_workers_count() -> None:
    aggregator = LedgerAggregator()
    router({0: (5, 0, 3), 1: (4, 0, 2)}, {})(aggregator)
    worker(0, {})(aggregator)
    worker(1, {})(aggregator)
    assert (aggregator.queued, sorted(aggregator.workers)) == (5, [0, 1])
    worker_gone(1)(aggregator)
    router_gone(1.0)(aggregator)
    assert (aggregator.queued, sorted(aggregator.workers)) == (0, [0])


# By chance: processes that do, report and die, and what is true of them.


@dataclass
class Life:
    """A life of the router or of a worker."""

    sent: Counter[int] = field(default_factory=Counter)
    dropped: Counter[int] = field(default_factory=Counter)
    queued: Counter[int] = field(default_factory=Counter)
    written: Counter[int] = field(default_factory=Counter)
    done: Counter[int] = field(default_factory=Counter)
    ended: list[int] = field(default_factory=list)


class World:
    """Two workers and a router that tell the aggregator, now and then, what they do."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.aggregator = LedgerAggregator()
        self.truly_sent = 0
        self.router_died = False
        self._links = 0
        self._current: dict[int, int] = {}
        self._unread: Counter[int] = Counter()
        self._inlets: dict[int, list[int]] = {0: [], 1: []}
        self._router = Life()
        self._workers = {0: Life(), 1: Life()}
        for number in self._workers:
            self._connect(number)

    def _connect(self, number: int) -> None:
        self._links += 1
        self.aggregator.pipe_opened(self._links, number)
        self._current[number] = self._links
        self._router.written[self._links] = 0
        self._inlets[number].append(self._links)

    def offer(self) -> None:
        number, count = self._random.randrange(2), self._random.randrange(1, 5)
        self._router.sent[number] += count
        self.truly_sent += count
        if self._random.random() < 0.2:
            self._router.dropped[number] += count
        else:
            self._router.queued[number] += count

    def write(self) -> None:
        number = self._random.randrange(2)
        count = self._random.randint(0, self._router.queued[number])
        self._router.queued[number] -= count
        self._router.written[self._current[number]] += count
        self._unread[self._current[number]] += count

    def work(self) -> None:
        number = self._random.randrange(2)
        inlets, life = self._inlets[number], self._workers[number]
        count = self._random.randint(0, self._unread[inlets[0]])
        self._unread[inlets[0]] -= count
        life.done[inlets[0]] += count
        if len(inlets) > 1 and not self._unread[inlets[0]]:
            life.ended.append(inlets.pop(0))

    def report_router(self) -> None:
        life = self._router
        queues = {n: (life.sent[n], life.dropped[n], life.queued[n]) for n in (0, 1)}
        total = life.sent.total()
        report = router_report(Events(total, total), queues, life.written)
        self.aggregator.router_reported(report)

    def report_worker(self) -> None:
        self._report_worker(self._random.randrange(2))

    def _report_worker(self, number: int) -> None:
        life = self._workers[number]
        report = worker_report(dict(life.done), tuple(life.ended))
        self.aggregator.worker_reported(number, report)

    def kill_worker(self) -> None:
        number = self._random.randrange(2)
        self.aggregator.worker_ended(number, clean=False)
        self._workers[number] = Life()
        self._inlets[number].clear()
        self._connect(number)

    def kill_router(self) -> None:
        self.router_died = True
        self.aggregator.router_ended(0.5)
        self._router = Life()
        for number in self._workers:
            self._connect(number)

    def stop(self) -> None:
        """All that is queued is written, all that is written is done."""
        for number, queued in self._router.queued.items():
            self._router.written[self._current[number]] += queued
            self._unread[self._current[number]] += queued
        self._router.queued.clear()
        self.report_router()
        self.aggregator.router_ended()
        for number, life in self._workers.items():
            for link in self._inlets[number]:
                life.done[link] += self._unread[link]
                life.ended.append(link)
            self._report_worker(number)
            self.aggregator.worker_ended(number, clean=True)


ACTS = (
    *[World.offer] * 4,
    *[World.write] * 4,
    *[World.work] * 4,
    *[World.report_router] * 2,
    *[World.report_worker] * 3,
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
    deliveries = world.aggregator.total().deliveries
    assert deliveries.in_flight == 0
    assert not world.aggregator._pipes
    if world.router_died:
        assert deliveries.consumed <= deliveries.sent <= world.truly_sent
    else:
        assert deliveries.sent == world.truly_sent
        assert not deliveries.lost["router_died"]


def test_what_a_dead_worker_did_since_its_last_checkpoint_is_rolled_back() -> None:
    aggregator = LedgerAggregator()
    aggregator.worker_reported(0, worker_report({1: 9}, in_checkpoint=7))
    assert aggregator.total().rolled_back == 0
    aggregator.worker_ended(0, clean=False)
    aggregator.worker_reported(0, worker_report({2: 5}, in_checkpoint=0))
    aggregator.worker_reported(1, worker_report({3: 5}, in_checkpoint=0))
    aggregator.worker_ended(0, clean=False)
    aggregator.worker_ended(1, clean=True)
    assert aggregator.total().rolled_back == 2 + 5


def test_a_worker_that_took_events_late_is_noticed_once() -> None:
    aggregator = LedgerAggregator()
    on_time, late, more = (
        worker_report({1: n}, late=count) for n, count in ((1, 0), (2, 3), (3, 3))
    )
    assert [aggregator.worker_reported(0, report) for report in (on_time, late, more)] == [
        False,
        True,
        False,
    ]
    assert aggregator.total().late == 3


def test_feed_losses_are_kept_when_a_router_dies() -> None:
    aggregator = LedgerAggregator()
    aggregator.router_reported(router_report(feed=Feed(1, 2.5, 10)))
    aggregator.router_ended(0.5)
    aggregator.router_reported(router_report(feed=Feed(2, 1.0, 0)))
    assert aggregator.total().feed == Feed(3, 3.5, 10)
