"""The supervisor's decisions: children whose lives are scripts, on a clock that does not wait.

What real processes add is in test_serve_faults.py.
"""

import asyncio
import errno
import os
import selectors
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from loguru import logger

from shards.alarm_files import ALARM_EVENTS, AlarmFiles
from shards.config.config_folder import load_config
from shards.ipc.framing import encode_frame
from shards.ipc.messages import (
    AttachPipe,
    FromChild,
    Ready,
    RouterReport,
    Stop,
    ToChild,
    WorkerReport,
)
from shards.ledger import Events
from shards.settings.settings import Settings
from shards.supervisor import children, observer
from shards.supervisor.restart_policy import MAX_DEATHS, WINDOW_SECONDS
from shards.supervisor.supervisor import START_SECONDS, Supervisor
from tests.support.reports import router_report, worker_report
from tests.support.serving import counting_directive, write_config

# A clock that does not wait.


class _Selector(selectors.DefaultSelector):
    """Whoever would wait for the time is told at once that it has passed."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        assert ready or timeout is not None, "nothing will ever happen any more"
        return ready


class Loop(asyncio.SelectorEventLoop):
    """An event loop on such a clock."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


# Children by script.


@dataclass
class Life:
    """What a child does. Times in seconds from its start; None is never."""

    ready: float | None = 0.5
    dies: float | None = None
    code: int = -9
    ends_when_told: float | None = 0.1
    says: list[tuple[float, Any]] = field(default_factory=list)


class FakeChild:
    """A child as the supervisor has it; each name has its list of lives, the last for good."""

    lives: ClassVar[dict[str, list[Life]]] = {}
    all: ClassVar[list["FakeChild"]] = []

    def __init__(
        self, name: str, target: object, setup: Any, last: Any, first: bool = False
    ) -> None:
        """`last`: the port of a router, the outlet of a worker; `first`: of a worker's lives."""
        self.name = name
        self.first = first
        self.target = target
        self.setup = setup
        self.started = asyncio.get_running_loop().time()
        self.ended: float | None = None
        self.told: list[ToChild] = []
        self.was_killed = False
        self._life = self.lives[name].pop(0) if self.lives.get(name) else Life()
        self.port = last if isinstance(last, int) else None
        self._outlet = None if isinstance(last, int) else os.dup(last.fileno())
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._handle: Callable[[FromChild], None] | None = None
        self.all.append(self)

    async def handle_until_exit(self, handle: Callable[[FromChild], None]) -> int:
        loop, life = asyncio.get_running_loop(), self._life
        self._handle = handle
        if life.ready is not None:
            ready = Ready(("127.0.0.1", 4321)) if self._outlet is None else Ready()
            loop.call_at(self.started + life.ready, self._say, ready)
        for moment, message in life.says:
            loop.call_at(self.started + moment, self._say, message)
        if life.dies is not None:
            loop.call_at(self.started + life.dies, self._finish, life.code)
        code = await self._end
        self._handle = None
        self.ended = loop.time()
        if self._outlet is not None:
            os.close(self._outlet)
        return code

    def _say(self, message: FromChild | WorkerReport) -> None:
        if self._handle is None:
            return
        if isinstance(message, WorkerReport):
            assert self._outlet is not None
            os.write(self._outlet, encode_frame(message))
        else:
            self._handle(message)

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    def send(self, message: ToChild) -> None:
        self.told.append(message)
        if isinstance(message, Stop) and self._life.ends_when_told is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._life.ends_when_told, self._finish, 0)

    def send_descriptor(self, message: ToChild, descriptor: int) -> None:
        os.fstat(descriptor)  # it is open
        self.told.append(message)

    def kill(self) -> None:
        self.was_killed = True
        self._finish(-9)

    @property
    def links(self) -> list[int]:
        """The links that it was given."""
        return [message.pipe for message in self.told if isinstance(message, AttachPipe)]


class Played:
    """What came of a story."""

    def __init__(self, code: int, seconds: float, log: list[dict[str, Any]], logs: Path) -> None:
        self.code = code
        self.seconds = seconds
        self.log = log
        self.children = list(FakeChild.all)
        self.alarm_events = (logs / ALARM_EVENTS).read_bytes()

    def lives(self, name: str) -> list[FakeChild]:
        return [child for child in self.children if child.name == name]

    def starts(self, name: str) -> list[float]:
        """When each of its lives began, in seconds after the first of all."""
        first = self.children[0].started
        return [round(child.started - first, 3) for child in self.lives(name)]

    @property
    def messages(self) -> list[str]:
        return [record["message"] for record in self.log]

    @property
    def ledger(self) -> dict[str, Any]:
        (record,) = [record for record in self.log if record["message"] == "ledger"]
        extra: dict[str, Any] = record["extra"]
        return extra


Play = Callable[..., Played]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Run a supervisor of two workers with the lives given; signals come at the times given."""
    records: list[dict[str, Any]] = []

    def keep(message: Any) -> None:
        records.append(message.record)

    write_config(tmp_path, map(counting_directive, (1, 2, 3)))
    handler = logger.add(keep)
    FakeChild.all.clear()

    def run(
        stops: tuple[float, ...] = (10.0,),
        shutdown_timeout: int = 8,
        kind: type[FakeChild] = FakeChild,
        **lives: list[Life],
    ) -> Played:
        settings = Settings(
            workers=2,
            config_dir=tmp_path / "conf",
            log_dir=tmp_path / "logs",
            shutdown_timeout=shutdown_timeout,
        )
        monkeypatch.setattr(children, "ChildProcess", kind)
        FakeChild.lives = {name.replace("_", "-"): list(one) for name, one in lives.items()}
        config, _ = load_config(settings)
        assert config is not None
        serving = Supervisor(settings, config, AlarmFiles(settings.log_dir))
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            clock = SimpleNamespace(monotonic=loop.time, time=loop.time)
            monkeypatch.setattr(children, "time", clock)
            monkeypatch.setattr(observer, "time", clock)
            start = loop.time()
            for moment in stops:
                loop.call_at(start + moment, os.kill, os.getpid(), signal.SIGTERM)
            code = runner.run(serving.serve())
            assert asyncio.all_tasks(loop) == set()
            return Played(code, round(loop.time() - start, 3), records, settings.log_dir)

    yield run
    logger.remove(handler)


# Stories.


def test_workers_first_then_the_router_and_the_other_way_round_at_the_end(play: Play) -> None:
    told = play(worker_1=[Life(ready=2.0)])
    assert (told.code, told.starts("worker-0"), told.starts("worker-1")) == (0, [0], [0])
    assert told.starts("router") == [2.0]
    assert "serving" in told.messages
    (router,) = told.lives("router")
    workers = told.lives("worker-0") + told.lives("worker-1")
    assert all(worker.links == [link] for worker, link in zip(workers, router.links, strict=True))
    assert router.told[-1] == Stop()
    assert all(worker.told[-1] == Stop() for worker in workers)
    assert router.ended is not None
    assert all(worker.ended is not None and worker.ended > router.ended for worker in workers)
    assert told.seconds == pytest.approx(10.2)
    assert not any(child.was_killed for child in told.children)
    assert told.ledger == {"adds_up": True}


def test_a_worker_that_dies_comes_back_with_a_new_pipe(play: Play) -> None:
    told = play(worker_0=[Life(dies=3.0)])
    assert told.code == 0
    assert told.starts("worker-0") == [0, 3.1]
    assert [life.first for life in told.lives("worker-0")] == [True, False]
    assert told.starts("worker-1") == [0]
    first, second = told.lives("worker-0")
    (router,), (other,) = told.lives("router"), told.lives("worker-1")
    assert router.links == [*first.links, *other.links, *second.links]
    assert len(set(router.links)) == 3
    attached = [m.worker for m in router.told if isinstance(m, AttachPipe)]
    assert attached == [0, 1, 0]
    assert "a process has died" in told.messages


def test_a_router_that_dies_comes_back_on_its_port_with_new_pipes(play: Play) -> None:
    told = play(router=[Life(dies=3.0)])
    assert told.code == 0
    assert told.starts("router") == [0.5, 3.6]
    first, second = told.lives("router")
    assert (first.port, second.port) == (8080, 4321)
    for name in ("worker-0", "worker-1"):
        (worker,) = told.lives(name)
        assert len(worker.links) == 2
    assert not set(first.links) & set(second.links)
    assert told.ledger["unreported_seconds"] == pytest.approx(2.5)  # since it said it was ready


def test_both_die_at_once(play: Play) -> None:
    told = play(router=[Life(dies=2.5)], worker_0=[Life(dies=3.0)])
    assert told.code == 0
    (_, router), (_, worker) = told.lives("router"), told.lives("worker-0")
    assert worker.links[-1] in router.links
    assert len(worker.links) == 1


def test_it_gives_up_after_too_many_deaths(play: Play) -> None:
    told = play(stops=(), worker_1=[Life(dies=1.0) for _ in range(10)])
    assert told.code == 1
    assert told.starts("worker-1") == [0, 1.1, 2.3, 3.7, 5.5]
    assert len(told.lives("worker-1")) == MAX_DEATHS
    assert any(message.startswith("giving up: worker-1") for message in told.messages)
    assert all(child.told[-1] == Stop() for child in told.lives("worker-0"))
    assert not any(child.was_killed for child in told.children)


def test_deaths_far_apart_are_no_reason_to_give_up(play: Play) -> None:
    lives = [Life(dies=WINDOW_SECONDS / (MAX_DEATHS - 1)) for _ in range(20)]
    told = play(stops=(400.0,), router=lives)
    assert told.code == 0
    assert len(told.lives("router")) > 15


def test_deaths_of_different_processes_are_not_added_up(play: Play) -> None:
    lives = {name: [Life(dies=1.0) for _ in range(4)] for name in ("worker_0", "worker_1")}
    told = play(stops=(30.0,), router=[Life(dies=1.0) for _ in range(4)], **lives)
    assert told.code == 0
    assert [len(told.lives(name)) for name in ("worker-0", "worker-1", "router")] == [5, 5, 5]


@pytest.mark.parametrize("name", ["worker_0", "router"])
def test_a_process_that_is_never_ready_is_not_waited_for_for_ever(name: str, play: Play) -> None:
    told = play(stops=(), **{name: [Life(ready=None)]})
    assert told.code == 1
    assert START_SECONDS <= told.seconds < START_SECONDS + 10
    assert "serving" not in told.messages
    assert any(message.startswith("giving up: not all") for message in told.messages)


@pytest.mark.parametrize("name", ["worker_0", "router"])
def test_a_process_that_dies_before_it_is_ready_will_do_so_again(name: str, play: Play) -> None:
    told = play(stops=(), **{name: [Life(ready=None, dies=0.2, code=1)]})
    assert told.code == 1
    assert told.seconds < 2
    assert len(told.lives(name.replace("_", "-"))) == 1
    expected = f"giving up: {name.replace('_', '-')} ended with 1 before it was ready"
    assert expected in told.messages


@pytest.mark.parametrize("when", [0.2, 0.7])
def test_a_stop_before_all_are_ready_is_a_stop(when: float, play: Play) -> None:
    told = play(stops=(when,))
    assert told.code == 0
    assert told.seconds < 2
    assert "serving" not in told.messages
    assert len(told.lives("router")) == (when > 0.5)


def test_at_a_stop_nothing_is_started_again(play: Play) -> None:
    told = play(
        stops=(5.0,),
        worker_0=[Life(dies=4.95)],  # waits for its next life
        worker_1=[Life(dies=5.05)],  # dies meanwhile
    )
    assert told.code == 0
    assert len(told.children) == 3
    assert told.seconds < 6


def test_who_does_not_end_is_ended(play: Play) -> None:
    told = play(stops=(5.0,), shutdown_timeout=3, worker_1=[Life(ends_when_told=None)])
    assert told.code == 1
    assert told.seconds == pytest.approx(8.0)
    assert [child.name for child in told.children if child.ended is None] == []
    assert [child.was_killed for child in told.lives("worker-1")] == [True]
    assert any(message.startswith("stopping by force") for message in told.messages)


def test_workers_are_not_told_to_end_while_the_router_has_not(play: Play) -> None:
    told = play(stops=(5.0,), shutdown_timeout=3, router=[Life(ends_when_told=None)])
    assert told.code == 1
    assert told.seconds == pytest.approx(8.0)
    for name in ("worker-0", "worker-1"):
        (worker,) = told.lives(name)
        assert Stop() not in worker.told
        assert worker.was_killed


def test_the_time_for_a_stop_is_enough_when_it_is_just_enough(play: Play) -> None:
    lives = [Life(ends_when_told=1.4)]
    told = play(stops=(5.0,), shutdown_timeout=3, router=lives, worker_0=lives)
    assert told.code == 0
    assert told.seconds == pytest.approx(7.8)


def test_a_second_signal_ends_all_at_once(play: Play) -> None:
    told = play(stops=(5.0, 6.0), router=[Life(ends_when_told=None)])
    assert told.code == 1
    assert told.seconds == pytest.approx(6.0)
    assert all(child.was_killed for child in told.children)


@pytest.mark.parametrize("name", ["worker-1", "router"])
def test_a_process_that_cannot_be_started_counts_as_one_that_died(name: str, play: Play) -> None:
    """Too many processes or open files, or no memory: that may pass."""
    failures = iter((False, True, True))

    class Unstartable(FakeChild):
        def __init__(
            self, its_name: str, target: object, setup: Any, last: Any, first: bool = False
        ) -> None:
            if its_name == name and next(failures, False):
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            super().__init__(its_name, target, setup, last, first)

    told = play(kind=Unstartable, **{name.replace("-", "_"): [Life(dies=1.0)]})
    assert told.code == 0
    assert len(told.lives(name)) == 2
    assert "Resource temporarily unavailable" in str(told.log)


# What they say.


def report(number: int) -> WorkerReport:
    """Of a worker that has done so many events of link 1."""
    line = b'{"number":%d}\n' % number
    return worker_report({1: number}, alarm_events=line)


def routed(number: int) -> RouterReport:
    return router_report(Events(number, number), {0: (number, 0, 0)}, {1: number})


def test_all_that_a_worker_said_before_it_died_is_written_and_counted(play: Play) -> None:
    """The last words of a dead process may still be in its pipe."""
    last = [(2.0 + n / 1000, report(n)) for n in range(1, 100)]
    told = play(
        stops=(2.5,),
        worker_0=[Life(dies=2.1, says=last)],
        router=[Life(says=[(0.6, routed(120))])],
    )
    assert told.alarm_events == b"".join(b'{"number":%d}\n' % n for n in range(1, 100))
    assert told.ledger == {
        "adds_up": True,
        "rolled_back": 99,
        "events_received": 120,
        "events_routed": 120,
        "deliveries_sent": 120,
        "deliveries_consumed": 99,
        "deliveries_lost_worker_died": 21,
        "outcomes_taken": 99,
    }


def test_a_report_that_was_cut_by_death_is_not_taken(play: Play) -> None:
    frame = encode_frame(report(7))

    class Cut(FakeChild):
        def _finish(self, code: int) -> None:
            if self._outlet is not None and not self._end.done():
                os.write(self._outlet, frame[: len(frame) // 2])
            super()._finish(code)

    told = play(kind=Cut, worker_0=[Life(dies=2.0, says=[(1.0, report(3))])])
    assert told.code == 0
    assert told.alarm_events == b'{"number":3}\n'
    assert told.ledger["deliveries_consumed"] == told.ledger["deliveries_sent"] == 3


def test_for_how_long_a_router_had_not_spoken_is_told(play: Play) -> None:
    says = [(moment, routed(1)) for moment in (1.0, 2.0)]
    told = play(router=[Life(dies=2.75, says=says)])
    assert told.ledger["unreported_seconds"] == pytest.approx(0.75)
    assert told.ledger["events_received"] == 1


def test_an_orderly_end_leaves_no_gap(play: Play) -> None:
    assert "unreported_seconds" not in play(stops=(9.0,)).ledger
