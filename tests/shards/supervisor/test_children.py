"""Start, restart and stop of the children, with scripted children and a simulated clock.

See test_serve_faults.py for the same with real processes.
"""

import asyncio
import errno
import gc
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
from msgspec.structs import replace

from shards.alarm_files import ALARM_EVENTS, AlarmFiles
from shards.config.generation import ConfigChanges, ConfigParts, LoadResult
from shards.ipc.framing import encode_frame
from shards.ipc.messages import (
    AttachPipe,
    DetachPipe,
    FromChild,
    Prepare,
    Prepared,
    Progress,
    Ready,
    RouterReport,
    Saved,
    Stop,
    Switch,
    Switched,
    Synced,
    ToChild,
    WorkerReport,
)
from shards.ipc.pipes import make_pipe
from shards.ledger import Events
from shards.positions import base_of
from shards.settings.settings import Settings
from shards.supervisor import children, observer, reloader, restarts
from shards.supervisor.config_loading import Loaded
from shards.supervisor.restart_policy import MAX_DEATHS, WINDOW_SECONDS
from shards.supervisor.supervisor import Supervisor
from shards.worker.start import WorkerStart, Written
from tests.support.generations import generation
from tests.support.reports import router_report, worker_report

FORK_SERVER: Any = SimpleNamespace(restart_if_dead=lambda: False)
"""One that lives, and forks nothing."""
FIRST = generation([1, 2], [3])

# A simulated clock.


class _Selector(selectors.DefaultSelector):
    """Advances the clock by the timeout instead of waiting for it."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        assert ready or timeout is not None, "no event and no timer is left"
        return ready


class Loop(asyncio.SelectorEventLoop):
    """An event loop with the simulated clock."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


# Scripted children.


@dataclass
class Script:
    """What one process of a child does. Times in seconds from its start; None is never."""

    ready: float | None = 0.5
    dies: float | None = None
    code: int = -9
    stop_seconds: float | None = 0.1
    position: int = 0
    prepares: float | None = 0.2
    """Seconds for which it prepares a configuration that it is sent."""
    switches: float | None = 0.2
    """Seconds from Switch to Switched."""
    sends: list[tuple[float, Any]] = field(default_factory=list)


class FakeChild:
    """Replaces ChildProcess; each name has a list of scripts, one for each start."""

    scripts: ClassVar[dict[str, list[Script]]] = {}
    all: ClassVar[list["FakeChild"]] = []

    def __init__(
        self, fork_server: object, name: str, target: str, setup: Any, *arguments: Any
    ) -> None:
        """`arguments`: of a router or a worker, see their main()."""
        start, is_router = arguments[-1], name == "router"
        self.name = name
        self.fork_server = fork_server
        self.start: WorkerStart | None = None if is_router else start
        self.life: int | None = start.life if is_router else None
        self.target = target
        self.setup = setup
        self.started = asyncio.get_running_loop().time()
        self.ended: float | None = None
        self.sent: list[ToChild] = []
        self.was_killed = self._is_attached = False
        self._script = self.scripts[name].pop(0) if self.scripts.get(name) else Script()
        self.port = start.port if is_router else None
        self.generations = [begun.generation for begun in start.generations]
        self._report_pipe = None if is_router else os.dup(arguments[0].fileno())
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._handle: Callable[[FromChild], None] | None = None
        self.all.append(self)

    async def handle_until_exit(self, handle: Callable[[FromChild], None]) -> int:
        loop, script = asyncio.get_running_loop(), self._script
        self._handle = handle
        if script.ready is not None:
            ready = (
                Ready(("127.0.0.1", 4321))
                if self._report_pipe is None
                else Ready(position=script.position)
            )
            loop.call_at(self.started + script.ready, self._send_report, ready)
            for later in self.generations[1:]:
                loop.call_at(self.started + script.ready, self._prepare, later)
        for moment, message in script.sends:
            loop.call_at(self.started + moment, self._send_report, message)
        if script.dies is not None:
            loop.call_at(self.started + script.dies, self._finish, script.code)
        code = await self._end
        self._handle = None
        self.ended = loop.time()
        if self._report_pipe is not None:
            os.close(self._report_pipe)
        return code

    def _send_report(self, message: FromChild | WorkerReport) -> None:
        if self._handle is None:
            return
        if isinstance(message, WorkerReport):
            assert self._report_pipe is not None
            os.write(self._report_pipe, encode_frame(message))
        else:
            self._handle(message)

    def _prepare(self, generation: int) -> None:
        if self._script.prepares is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._script.prepares, self._send_report, Prepared(generation))

    def _finish(self, code: int) -> None:
        if self._end.done():
            return
        self._end.set_result(code)
        if self.port is not None:
            for worker in self.all:
                asyncio.get_running_loop().call_later(0.001, worker.reach_end_of_pipe)

    def reach_end_of_pipe(self) -> None:
        """The router has ended: a worker with a pipe from it has read that to the end."""
        if self._is_attached and self._handle is not None and self.start is not None:
            self._is_attached = False
            self._handle(Ready(position=self._script.position))

    def send(self, message: ToChild) -> None:
        self.sent.append(message)
        if isinstance(message, Stop) and self._script.stop_seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._script.stop_seconds, self._finish, 0)
        if isinstance(message, Switch) and self._script.switches is not None:
            switched = Switched(message.generation)
            loop = asyncio.get_running_loop()
            loop.call_later(self._script.switches, self._send_report, switched)

    def send_descriptor(self, message: ToChild, descriptor: int) -> None:
        os.fstat(descriptor)  # it is open
        self.sent.append(message)
        if isinstance(message, Prepare):
            self._prepare(message.generation)
        else:
            self._is_attached = True

    async def find_position(self) -> str:
        await asyncio.sleep(0.5)
        return "shard.py:1 somewhere"

    def kill(self) -> None:
        self.was_killed = True
        self._finish(-9)

    @property
    def pipes(self) -> list[AttachPipe]:
        """The data pipes that it was given."""
        return [message for message in self.sent if isinstance(message, AttachPipe)]


async def load_changed(*_: object) -> Loaded:
    """In place of load_config: directive 1 has changed."""
    result = LoadResult(FIRST.summary, ConfigChanges(changed=[1], unchanged=2))
    return Loaded(result, ConfigParts.create(2))


class SupervisorRun:
    """The outcome of a run of the supervisor."""

    def __init__(self, code: int, seconds: float, log: list[dict[str, Any]], logs: Path) -> None:
        self.code = code
        self.seconds = seconds
        self.log = log
        self.children = list(FakeChild.all)
        self.alarm_events = (logs / ALARM_EVENTS).read_bytes()

    def children_named(self, name: str) -> list[FakeChild]:
        return [child for child in self.children if child.name == name]

    def starts(self, name: str) -> list[float]:
        """The times of its starts, in seconds after the first start of all children."""
        first = self.children[0].started
        return [round(child.started - first, 3) for child in self.children_named(name)]

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log records with this message."""
        return [record for record in self.log if record["message"] == message]

    @property
    def messages(self) -> list[str]:
        return [record["message"] for record in self.log]

    @property
    def ledger(self) -> dict[str, Any]:
        (record,) = [record for record in self.log if record["message"] == "ledger"]
        extra: dict[str, Any] = record["extra"]
        return extra


RunSupervisor = Callable[..., SupervisorRun]


@pytest.fixture
def run_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunSupervisor]:
    """Run a supervisor of two workers with these scripts; SIGTERM comes at the times `stops`.

    `reloads`: times of requests, each of which loads a configuration with changes at once.
    """
    records: list[dict[str, Any]] = []

    def keep(message: Any) -> None:
        records.append(message.record)

    handler = logger.add(keep)
    FakeChild.all.clear()

    def run(
        stops: tuple[float, ...] = (10.0,),
        shutdown_timeout: int = 8,
        hang_timeout: int = 0,
        kind: type[FakeChild] = FakeChild,
        reloads: tuple[float, ...] = (),
        **scripts: list[Script],
    ) -> SupervisorRun:
        settings = Settings(
            workers=2,
            config_dir=tmp_path / "conf",
            log_dir=tmp_path / "logs",
            shutdown_timeout=shutdown_timeout,
            hang_timeout=hang_timeout,
            ops_port=0,
        )
        monkeypatch.setattr(children, "ChildProcess", kind)
        monkeypatch.setattr(reloader, "load_config", load_changed)
        FakeChild.scripts = {name.replace("_", "-"): list(one) for name, one in scripts.items()}
        serving = Supervisor(settings, FIRST, AlarmFiles(settings.log_dir), FORK_SERVER)
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            clock = SimpleNamespace(monotonic=loop.time, time=loop.time)
            monkeypatch.setattr(children, "time", clock)
            monkeypatch.setattr(restarts, "time", clock)
            monkeypatch.setattr(observer, "time", clock)
            start = loop.time()
            for moment in stops:
                loop.call_at(start + moment, os.kill, os.getpid(), signal.SIGTERM)
            for moment in reloads:
                loop.call_at(start + moment, serving.reloader.request, "SIGHUP")
            code = runner.run(serving.serve())
            assert asyncio.all_tasks(loop) == set()
            return SupervisorRun(code, round(loop.time() - start, 3), records, settings.log_dir)

    yield run
    logger.remove(handler)
    FakeChild.all.clear()
    gc.unfreeze()  # a supervisor that serves freezes what it has: descriptors of configurations


# Runs.


def test_workers_start_before_the_router_and_stop_after_it(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(worker_1=[Script(ready=2.0)])
    assert (result.code, result.starts("worker-0"), result.starts("worker-1")) == (0, [0], [0])
    assert result.starts("router") == [2.0]
    assert "serving" in result.messages
    (router,) = result.children_named("router")
    workers = result.children_named("worker-0") + result.children_named("worker-1")
    assert all(worker.pipes == [link] for worker, link in zip(workers, router.pipes, strict=True))
    assert router.sent[-1] == Stop()
    for worker in workers:
        assert isinstance(stop := worker.sent[-1], Stop)
        assert stop.seconds == pytest.approx(7.9)  # of 8: the router has taken the rest
    assert router.ended is not None
    assert all(worker.ended is not None and worker.ended > router.ended for worker in workers)
    assert result.seconds == pytest.approx(10.2)
    assert not any(child.was_killed for child in result.children)
    assert result.ledger == {"adds_up": True}


def test_a_worker_that_dies_is_restarted_with_a_new_pipe(run_supervisor: RunSupervisor) -> None:
    second = Script(position=base_of(1) + 5)
    result = run_supervisor(worker_0=[Script(dies=3.0, sends=[(2.0, report(7))]), second])
    assert result.code == 0
    assert result.starts("worker-0") == [0, 3.1]
    old, new = result.children_named("worker-0")
    assert result.starts("worker-1") == [0]
    assert old.start is not None
    assert new.start is not None
    run = old.start.run
    known = old.start.generations
    assert [begun.generation for begun in known] == [1]
    assert old.start == WorkerStart(0, run, known)
    assert new.start == WorkerStart(0, run, known, is_first=False, written=Written(base_of(1) + 7))
    (router,), (other,) = result.children_named("router"), result.children_named("worker-1")
    assert router.sent[:-1] == [
        *old.pipes,
        *other.pipes,
        DetachPipe(0),
        AttachPipe(0, 1, base_of(1) + 5),
    ]
    assert new.pipes == [AttachPipe(0, 1, base_of(1) + 5)]
    assert "a process has died" in result.messages


def test_a_router_that_dies_is_restarted_on_its_port_with_new_pipes(
    run_supervisor: RunSupervisor,
) -> None:
    result = run_supervisor(router=[Script(dies=3.0)])
    assert result.code == 0
    assert result.starts("router") == [0.5, 3.6]
    first, second = result.children_named("router")
    assert (first.port, second.port) == (8080, 4321)
    for name in ("worker-0", "worker-1"):
        (worker,) = result.children_named(name)
        assert [pipe.life for pipe in worker.pipes] == [first.life, second.life] == [1, 2]
    assert result.ledger["unreported_seconds"] == pytest.approx(2.5)  # since it was ready


def test_both_die_at_once(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(router=[Script(dies=2.5)], worker_0=[Script(dies=3.0)])
    assert result.code == 0
    (_, router), (_, worker) = result.children_named("router"), result.children_named("worker-0")
    assert worker.pipes[-1] in router.pipes
    assert len(worker.pipes) == 1


def test_it_gives_up_after_too_many_deaths(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(), worker_1=[Script(dies=1.0) for _ in range(10)])
    assert result.code == 1
    assert result.starts("worker-1") == [0, 1.1, 2.3, 3.7, 5.5]
    assert len(result.children_named("worker-1")) == MAX_DEATHS
    (router,) = result.children_named("router")
    assert DetachPipe(1, for_good=True) in router.sent
    assert any(message.startswith("giving up: worker-1") for message in result.messages)
    assert all(isinstance(child.sent[-1], Stop) for child in result.children_named("worker-0"))
    assert not any(child.was_killed for child in result.children)


def test_deaths_far_apart_are_no_reason_to_give_up(run_supervisor: RunSupervisor) -> None:
    scripts = [Script(dies=WINDOW_SECONDS / (MAX_DEATHS - 1)) for _ in range(20)]
    result = run_supervisor(stops=(400.0,), router=scripts)
    assert result.code == 0
    assert len(result.children_named("router")) > 15


def test_deaths_of_different_processes_are_not_added_up(run_supervisor: RunSupervisor) -> None:
    scripts = {name: [Script(dies=1.0) for _ in range(4)] for name in ("worker_0", "worker_1")}
    result = run_supervisor(stops=(30.0,), router=[Script(dies=1.0) for _ in range(4)], **scripts)
    assert result.code == 0
    assert [len(result.children_named(name)) for name in ("worker-0", "worker-1", "router")] == [
        5,
        5,
        5,
    ]


@pytest.mark.parametrize("name", ["worker_0", "router"])
def test_the_wait_for_a_process_that_is_never_ready_ends(
    name: str, run_supervisor: RunSupervisor
) -> None:
    result = run_supervisor(stops=(), hang_timeout=30, **{name: [Script(ready=None)]})
    assert result.code == 1
    assert 30 <= result.seconds < 40
    assert "serving" not in result.messages
    assert "a process makes no progress, and is killed" in result.messages
    assert any(message.endswith("before it was ready") for message in result.messages)


@pytest.mark.parametrize("name", ["worker_0", "router"])
def test_a_start_may_take_any_time_while_it_makes_progress(
    name: str, run_supervisor: RunSupervisor
) -> None:
    progress = [(float(second), Progress()) for second in range(1, 300, 20)]
    script = Script(ready=300.0, sends=progress)
    result = run_supervisor(stops=(305.0,), hang_timeout=30, **keep_reporting(name, script))
    assert result.code == 0
    assert "serving" in result.messages
    assert not any(child.was_killed for child in result.children)


def test_a_silent_process_is_killed_and_started_again(run_supervisor: RunSupervisor) -> None:
    scripts = keep_reporting("worker_0", Script(sends=[(5.0, worker_report())]))
    scripts["worker_0"].append(reporting_worker())
    result = run_supervisor(stops=(60.0,), hang_timeout=30, **scripts)
    assert result.code == 0
    assert [child.was_killed for child in result.children_named("worker-0")] == [True, False]
    (second,) = result.starts("worker-0")[1:]
    assert 35 <= second <= 38
    (logged,) = result.logged("a process makes no progress, and is killed")
    assert logged["extra"]["process"] == "worker-0"
    assert logged["extra"]["position"] == "shard.py:1 somewhere"


def test_a_process_that_hangs_while_it_restarts_is_killed_too(
    run_supervisor: RunSupervisor,
) -> None:
    scripts = keep_reporting("worker_0", Script(dies=5.0))
    scripts["worker_0"] += [Script(ready=None), reporting_worker()]
    result = run_supervisor(stops=(60.0,), hang_timeout=30, **scripts)
    assert result.code == 0
    killed = [child.was_killed for child in result.children_named("worker-0")]
    assert killed == [False, True, False]


def test_a_worker_that_reports_and_takes_no_waiting_events_is_killed(
    run_supervisor: RunSupervisor,
) -> None:
    waiting = router_report(queues={0: (5, 0, 2)})
    scripts = keep_reporting("worker_0", reporting_worker())
    scripts["router"][0].sends = [(float(second), waiting) for second in range(1, 60)]
    result = run_supervisor(stops=(50.0,), hang_timeout=30, **scripts)
    assert result.code == 0
    assert [child.was_killed for child in result.children_named("worker-0")] == [True, False]
    assert not any(child.was_killed for child in result.children_named("worker-1"))


def test_without_a_hang_timeout_nobody_is_killed(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(200.0,), hang_timeout=0)
    assert result.code == 0
    assert not any(child.was_killed for child in result.children)


def test_a_worker_that_no_pipe_can_be_made_for_is_restarted(
    run_supervisor: RunSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter((True, True, True, False))  # two report pipes, and one data pipe

    def make() -> Any:
        if next(made, True):
            return make_pipe()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(children, "make_pipe", make)
    result = run_supervisor()
    assert result.code == 0
    assert "a data pipe was not made" in result.messages
    assert [child.was_killed for child in result.children_named("worker-1")] == [True, False]
    assert len(result.children_named("worker-1")[1].pipes) == 1


def test_a_restart_without_descriptors_is_tried_until_there_are_some(
    run_supervisor: RunSupervisor,
) -> None:
    class OftenWithout(FakeChild):
        refusals = 20

        def __init__(self, fork_server: object, name: str, *arguments: Any) -> None:
            if name == "worker-0" and any(child.name == name for child in self.all):
                OftenWithout.refusals -= 1
                if OftenWithout.refusals >= 0:
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            super().__init__(fork_server, name, *arguments)

    result = run_supervisor(stops=(60.0,), kind=OftenWithout, worker_0=[Script(dies=3.0)])
    assert result.code == 0
    assert len(result.starts("worker-0")) == 2
    assert result.messages.count("worker-0 cannot be started: Too many open files") == 20


def reporting_worker() -> Script:
    """A worker that reports once a second."""
    return Script(sends=[(float(second), worker_report()) for second in range(1, 400)])


def keep_reporting(name: str, script: Script) -> dict[str, list[Script]]:
    """This script for one process, and scripts that report for all others."""
    reports = [(float(second), router_report()) for second in range(1, 400)]
    scripts = {
        "worker_0": [reporting_worker()],
        "worker_1": [reporting_worker()],
        "router": [Script(sends=reports)],
    }
    return scripts | {name: [script, *scripts[name]] if name == "router" else [script]}


@pytest.mark.parametrize("name", ["worker_0", "router"])
def test_a_process_that_dies_before_it_is_ready_is_not_restarted(
    name: str, run_supervisor: RunSupervisor
) -> None:
    result = run_supervisor(stops=(), **{name: [Script(ready=None, dies=0.2, code=1)]})
    assert result.code == 1
    assert result.seconds < 2
    assert len(result.children_named(name.replace("_", "-"))) == 1
    expected = f"giving up: {name.replace('_', '-')} ended with 1 before it was ready"
    assert expected in result.messages


@pytest.mark.parametrize("when", [0.2, 0.7])
def test_a_stop_before_all_are_ready_is_a_stop(when: float, run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(when,))
    assert result.code == 0
    assert result.seconds < 2
    assert "serving" not in result.messages
    assert len(result.children_named("router")) == (when > 0.5)


def test_at_a_stop_workers_that_died_are_started_once_more_to_drain(
    run_supervisor: RunSupervisor,
) -> None:
    result = run_supervisor(
        stops=(5.0,),
        worker_0=[Script(dies=4.95)],  # waits for its restart
        worker_1=[Script(dies=5.05)],  # dies meanwhile
    )
    assert result.code == 0
    assert [len(result.children_named(f"worker-{number}")) for number in (0, 1)] == [2, 2]
    assert len(result.children_named("router")) == 1
    assert result.seconds < 6


def test_a_worker_that_dies_while_it_drains_is_not_started_again_and_the_stop_has_failed(
    run_supervisor: RunSupervisor,
) -> None:
    result = run_supervisor(stops=(5.0,), worker_0=[Script(dies=4.95), Script(dies=0.05)])
    assert result.code == 1
    assert len(result.children_named("worker-0")) == 2
    assert "giving up: worker-0 has died during the stop, with -9" in result.messages


def test_a_router_that_died_is_not_started_again_at_a_stop(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(5.0,), router=[Script(dies=4.45)])
    assert result.code == 0
    assert len(result.children_named("router")) == 1


def test_a_child_that_does_not_stop_is_killed(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(5.0,), shutdown_timeout=3, worker_1=[Script(stop_seconds=None)])
    assert result.code == 1
    assert result.seconds == pytest.approx(8.0)
    assert [child.name for child in result.children if child.ended is None] == []
    assert [child.was_killed for child in result.children_named("worker-1")] == [True]
    assert any(message.startswith("stopping by force") for message in result.messages)


def test_workers_are_not_stopped_before_the_router_has_ended(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(5.0,), shutdown_timeout=3, router=[Script(stop_seconds=None)])
    assert result.code == 1
    assert result.seconds == pytest.approx(8.0)
    for name in ("worker-0", "worker-1"):
        (worker,) = result.children_named(name)
        assert not any(isinstance(message, Stop) for message in worker.sent)
        assert worker.was_killed


def test_a_stop_just_within_the_shutdown_timeout_is_clean(run_supervisor: RunSupervisor) -> None:
    scripts = [Script(stop_seconds=1.4)]
    result = run_supervisor(stops=(5.0,), shutdown_timeout=3, router=scripts, worker_0=scripts)
    assert result.code == 0
    assert result.seconds == pytest.approx(7.8)


def test_a_second_signal_kills_all_children(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(5.0, 6.0), router=[Script(stop_seconds=None)])
    assert result.code == 1
    assert result.seconds == pytest.approx(6.0)
    assert all(child.was_killed for child in result.children)


@pytest.mark.parametrize("name", ["worker-1", "router"])
def test_a_process_that_cannot_be_started_counts_as_one_that_died(
    name: str, run_supervisor: RunSupervisor
) -> None:
    """Too many processes or open files, or no memory: that may pass."""
    failures = iter((False, True, True))

    class Unstartable(FakeChild):
        def __init__(self, fork_server: object, its_name: str, *arguments: Any) -> None:
            if its_name == name and next(failures, False):
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            super().__init__(fork_server, its_name, *arguments)

    result = run_supervisor(kind=Unstartable, **{name.replace("-", "_"): [Script(dies=1.0)]})
    assert result.code == 0
    assert len(result.children_named(name)) == 2
    assert "Resource temporarily unavailable" in str(result.log)


# Reports.


def report(number: int) -> WorkerReport:
    """Of a worker that has consumed this number of events."""
    line = b'{"number":%d}\n' % number
    return worker_report(number, alarm_events=line)


def routed(number: int) -> RouterReport:
    return router_report(Events(number, number), {0: (number, 0, 0)})


def test_all_reports_of_a_worker_that_died_are_written_and_counted(
    run_supervisor: RunSupervisor,
) -> None:
    """The last reports of a dead process may still be in its pipe."""
    last = [(2.0 + n / 1000, report(n)) for n in range(1, 100)]
    result = run_supervisor(
        stops=(2.5,),
        worker_0=[Script(dies=2.1, sends=last)],
        router=[Script(sends=[(0.6, routed(120))])],
    )
    assert result.alarm_events == b"".join(b'{"number":%d}\n' % n for n in range(1, 100))
    assert result.ledger == {
        "adds_up": True,
        "rolled_back": 99,
        "events_received": 120,
        "events_routed": 120,
        "deliveries_sent": 120,
        "deliveries_consumed": 99,
        "deliveries_lost_worker_died": 21,
        "outcomes_taken": 99,
    }


def test_a_report_cut_off_by_the_death_of_a_worker_is_ignored(
    run_supervisor: RunSupervisor,
) -> None:
    frame = encode_frame(report(7))

    class Cut(FakeChild):
        def _finish(self, code: int) -> None:
            if self._report_pipe is not None and not self._end.done():
                os.write(self._report_pipe, frame[: len(frame) // 2])
            super()._finish(code)

    result = run_supervisor(kind=Cut, worker_0=[Script(dies=2.0, sends=[(1.0, report(3))])])
    assert result.code == 0
    assert result.alarm_events == b'{"number":3}\n'
    assert result.ledger["deliveries_consumed"] == result.ledger["deliveries_sent"] == 3


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1"])
def test_a_worker_whose_report_cannot_be_read_is_killed_and_started_again(
    garbage: bytes, run_supervisor: RunSupervisor
) -> None:
    class Garbled(FakeChild):
        def _send_report(self, message: FromChild | WorkerReport) -> None:
            super()._send_report(message)
            if isinstance(message, WorkerReport) and self._report_pipe is not None:
                os.write(self._report_pipe, garbage)

    result = run_supervisor(
        kind=Garbled, worker_0=[Script(sends=[(1.0, report(3))]), Script()], stops=(5.0,)
    )
    assert result.code == 0
    assert len(result.children_named("worker-0")) == 2
    assert result.alarm_events == b'{"number":3}\n'
    assert len(result.logged("a report cannot be read")) == 1


def test_the_ledger_has_the_seconds_without_a_report_of_the_router(
    run_supervisor: RunSupervisor,
) -> None:
    sends = [(moment, routed(1)) for moment in (1.0, 2.0)]
    result = run_supervisor(router=[Script(dies=2.75, sends=sends)])
    assert result.ledger["unreported_seconds"] == pytest.approx(0.75)
    assert result.ledger["events_received"] == 1


def test_an_orderly_end_leaves_no_gap(run_supervisor: RunSupervisor) -> None:
    assert "unreported_seconds" not in run_supervisor(stops=(9.0,)).ledger


def test_a_checkpoint_is_confirmed_to_the_worker_and_the_router(
    run_supervisor: RunSupervisor,
) -> None:
    sends = [(2.0, worker_report(3, sync=1)), (3.0, worker_report(3, saved=base_of(1) + 3))]
    result = run_supervisor(worker_1=[Script(sends=sends)])
    (router,), (worker,) = result.children_named("router"), result.children_named("worker-1")
    assert [message.sync for message in worker.sent if isinstance(message, Synced)] == [1]
    assert Saved(1, base_of(1) + 3, base_of(1) + 3) in router.sent


def test_a_router_that_takes_long_to_start_again_is_no_hang_of_the_workers(
    run_supervisor: RunSupervisor,
) -> None:
    """What the dead one had queued is in flight until the next one is there."""
    scripts = keep_reporting("worker_0", reporting_worker())
    sends = [(1.0, router_report(queues={0: (5, 0, 2)}))]
    progress = [(float(second), Progress()) for second in range(1, 60, 5)]
    scripts["router"] = [Script(dies=2.0, sends=sends), Script(ready=60.0, sends=progress)]
    result = run_supervisor(stops=(70.0,), hang_timeout=30, **scripts)
    assert result.code == 0
    assert not any(child.was_killed for child in result.children)


# Reloads.


def reloaded(result: SupervisorRun) -> list[int]:
    """The generations of the reloads that have succeeded."""
    return [record["extra"]["generation"] for record in result.logged("configuration reloaded")]


def messages_of(child: FakeChild, *kinds: type) -> list[ToChild]:
    return [message for message in child.sent if isinstance(message, kinds)]


def test_all_children_switch_to_another_configuration(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(reloads=(2.0, 4.0))
    assert (result.code, reloaded(result)) == (0, [2, 3])
    (router,) = result.children_named("router")
    expected = [Prepare(2), Switch(2), Prepare(3), Switch(3)]
    assert messages_of(router, Prepare, Switch) == expected
    for name in ("worker-0", "worker-1"):
        (worker,) = result.children_named(name)
        assert messages_of(worker, Prepare, Switch) == [Prepare(2), Prepare(3)]


def test_the_router_waits_for_the_slowest_to_prepare(run_supervisor: RunSupervisor) -> None:
    """A stop meanwhile is none of its business."""
    result = run_supervisor(reloads=(2.0,), worker_1=[Script(prepares=None)])
    assert (result.code, reloaded(result)) == (0, [])
    (router,) = result.children_named("router")
    assert messages_of(router, Switch) == []
    assert result.seconds == pytest.approx(10.2)


SLOW = Script(prepares=1.5)
WHEN_IT_DIES: dict[str, tuple[float, Script, Script]] = {
    "before it has prepared": (2.1, Script(), Script()),
    "before the others have prepared": (2.7, SLOW, Script()),
    "before the router has switched": (2.4, Script(), Script(switches=2.0)),
    "after the router has switched": (2.9, Script(), Script()),
}
"""By the moment: when, and what another worker and the router do."""


@pytest.mark.parametrize("moment", WHEN_IT_DIES)
def test_a_worker_that_dies_during_a_switch_delays_it_at_most(
    moment: str, run_supervisor: RunSupervisor
) -> None:
    dies, other, router = WHEN_IT_DIES[moment]
    result = run_supervisor(
        reloads=(2.0, 7.0), worker_0=[Script(dies=dies)], worker_1=[other], router=[router]
    )
    assert (result.code, reloaded(result)) == (0, [2, 3])
    (only,) = result.children_named("router")
    expected = [Prepare(2), Switch(2), Prepare(3), Switch(3)]
    assert messages_of(only, Prepare, Switch) == expected
    first, second = result.children_named("worker-0")
    assert (first.generations, second.generations) == ([1], [1, 2])
    assert (messages_of(first, Prepare), messages_of(second, Prepare)) == (
        [Prepare(2)],
        [Prepare(3)],
    )


@pytest.mark.parametrize(("dies", "begins"), [(1.6, 1), (2.3, 1), (2.9, 1), (3.5, 2)])
def test_a_router_that_dies_during_a_switch_is_followed_by_one_that_does_it(
    dies: float, begins: int, run_supervisor: RunSupervisor
) -> None:
    """It has not prepared; not been told to switch; not switched; it has switched."""
    result = run_supervisor(
        reloads=(2.0, 7.0),
        worker_0=[Script(prepares=1.0)],
        router=[Script(dies=dies, switches=0.6)],
    )
    assert (result.code, reloaded(result)) == (0, [2, 3])
    first, second = result.children_named("router")
    assert (first.generations, second.generations) == ([1], [begins])
    switches = messages_of(first, Switch) + messages_of(second, Switch)
    again = [] if begins == 2 else [Switch(2)]
    assert messages_of(second, Switch) == [*again, Switch(3)]
    assert 2 <= len(switches) <= 3
    for name in ("worker-0", "worker-1"):
        (worker,) = result.children_named(name)
        assert messages_of(worker, Prepare) == [Prepare(2), Prepare(3)]


def test_a_worker_that_is_down_when_a_switch_begins_is_started_with_what_is_coming(
    run_supervisor: RunSupervisor,
) -> None:
    result = run_supervisor(reloads=(2.05,), worker_0=[Script(dies=2.0)])
    assert (result.code, reloaded(result)) == (0, [2])
    first, second = result.children_named("worker-0")
    assert (messages_of(first, Prepare), second.generations) == ([], [1, 2])


def test_a_worker_with_a_later_checkpoint_is_started_without_what_is_over(
    run_supervisor: RunSupervisor,
) -> None:
    saved = replace(worker_report(), generation=2, saved_generation=2)
    result = run_supervisor(
        reloads=(2.0,),
        worker_0=[Script(dies=5.0, sends=[(4.0, saved)])],
        worker_1=[Script(dies=6.0, sends=[(4.0, saved)])],
    )
    for name in ("worker-0", "worker-1"):
        assert [child.generations for child in result.children_named(name)] == [[1], [2]]


def test_a_stop_during_a_switch_breaks_it_off(run_supervisor: RunSupervisor) -> None:
    result = run_supervisor(stops=(2.1,), reloads=(2.0,), worker_1=[Script(dies=2.15)])
    assert (result.code, reloaded(result)) == (0, [])
    assert [child.generations for child in result.children_named("worker-1")] == [[1], [1, 2]]
