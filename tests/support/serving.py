"""The serve command as real processes: start it, post events, read its output, and end it.

Only processes that were started here are ended: they are in the session of their service, and have
a mark in their environment, as another session may get the number of one that has ended.
"""

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from shards.alarm_files import ALARM_EVENTS, ALARMS
from shards.placement import shard_of_directive
from tests.support.paths import ROOT
from tests.support.replaying import Json, directive, event, rule

T = TypeVar("T")

MARK_VARIABLE = "SERVING_TEST"
DEADLINE = 60.0
"""Seconds to wait for anything; on an idle machine all of it takes far less."""
NEVER_EXPIRE = ("--min-alarm-lifetime", "1000000000", "--max-future", "0")
"""Options with which the time of an event does not matter: nothing expires or is too new."""
OCCURRENCE = 9
"""Events that the second rule of a counting directive takes."""
COMMAND = (sys.executable, str(ROOT / "cli.py"))
NOT_MEASURED = MappingProxyType({"COVERAGE_PROCESS_CONFIG": ""})
"""Variables of a process that writes no coverage data: where the size of its files is limited."""
_CHILDREN = ("worker-", "router")
"""How the names of workers and of the router begin."""
LOG_KEYS = ("time", "level", "message")
ASSETS = [
    {"name": "lan", "cidr": "10.0.0.0/8", "value": 5},
    {"name": "scanner", "cidr": "10.0.0.99", "value": 1, "whitelisted": True},
]


def wait_until(condition: Callable[[], T], what: str, seconds: float = DEADLINE) -> T:
    """Wait until the condition returns something true; returns that.

    `what` is named in the failure after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return value


def directives_of(worker: int, workers: int, number: int = 2) -> list[int]:
    """The lowest ids of directives that are placed in this worker."""
    ids = (id_ for id_ in count(1) if shard_of_directive(id_, 1, workers)[1] == worker)
    return [next(ids) for _ in range(number)]


@contextmanager
def few_descriptors(pid: int) -> Iterator[None]:
    """Let a process open no more files."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    free = next(number for number in range(len(used) + 1) if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def counting_directive(id_: int) -> Json:
    """A directive that takes each event with its id as plugin_sid once; ten of them finish it."""
    return directive(
        id_,
        rule(1, id_, reliability=1),
        rule(2, id_, occurrence=OCCURRENCE, reliability=10),
    )


def write_config(
    folder: Path, directives: Iterable[Json], assets: Iterable[Json] = tuple(ASSETS)
) -> Path:
    """Write a config folder with these directives and assets; returns its path."""
    config = folder / "conf"
    config.mkdir(exist_ok=True)
    (config / "assets_a.json").write_text(json.dumps({"assets": list(assets)}))
    (config / "directives_a.json").write_text(json.dumps({"directives": list(directives)}))
    return config


def own_environment() -> dict[str, str]:
    """The environment of the tests, without settings of the program."""
    return {k: v for k, v in os.environ.items() if not k.startswith("DSIEM_")}


class NumberedEvents:
    """Events with consecutive ids, for some directives in turn (see counting_directive)."""

    def __init__(self, *directives: int, name: str = "e") -> None:
        self._directives = directives
        self._name = name
        self.made = 0

    def take(self, number: int) -> list[Json]:
        """The next events."""
        first, self.made = self.made, self.made + number
        return [
            event(f"{self._name}{i}", 0, self._directives[i % len(self._directives)])
            for i in range(first, self.made)
        ]


class PostAnswer(NamedTuple):
    """The service's answer to a request with events."""

    status: int
    body: Json

    @property
    def received(self) -> int:
        return int(self.body.get("received", 0))

    @property
    def accepted(self) -> int:
        return int(self.body.get("accepted", 0))


class Ledger(Counter[str]):
    """The counts of the final ledger line, by name; 0 if missing."""

    def by_reason(self, prefix: str) -> dict[str, int]:
        """The counts whose names begin with the prefix, without it."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.items()
            if name.startswith(prefix)
        }

    def check(self) -> None:
        """Check that the ledger adds up, as it says, and that nothing is in flight."""
        assert self["adds_up"] is True, self
        assert self["deliveries_in_flight"] == 0, self
        invalid = sum(self.by_reason("events_invalid_").values())
        dropped = sum(self.by_reason("events_dropped_").values())
        known = self["events_routed"] + self["events_unmatched"] + self["events_whitelisted"]
        known += self["events_elsewhere"]
        assert self["events_received"] == known + invalid + dropped, self
        gone = sum(
            sum(self.by_reason(f"deliveries_{how}_").values())
            for how in ("invalid", "dropped", "lost")
        )
        done = self["deliveries_consumed"] + self["deliveries_unmatched"]
        assert self["deliveries_sent"] == done + gone, self
        begun = self["backlogs_opened"] + self["backlogs_restored"]
        ended = ("finished", "expired", "averted", "removed", "open", "interrupted")
        assert begun == sum(self[f"backlogs_{how}"] for how in ended), self
        assert all(value >= 0 for value in self.values()), self

    @property
    def lines(self) -> int:
        """The number of alarm event lines that there must be."""
        return self["outcomes_taken"] + self["outcomes_opened"]

    @property
    def lost(self) -> int:
        """Deliveries lost by the death of any process."""
        return sum(self.by_reason("deliveries_lost_").values())


class ServiceExit(NamedTuple):
    """The end of a service: exit code, seconds that the stop took, and final ledger."""

    code: int
    seconds: float
    ledger: Ledger


started_services: "list[Service]" = []
"""Services that the current test has started; conftest.py ends them."""


class Service:
    """One service; its output files are in `folder/logs`."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        workers: int = 2,
        ready: bool = True,
        port: int | None = 0,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Start it with the config in `folder/conf`; if `ready`, wait until it serves.

        `port` is None to pass none, 0 for a free one.
        """
        self.logs = folder / "logs"
        self._stderr = folder / f"stderr-{uuid.uuid4().hex}"
        self._mark = uuid.uuid4().hex
        variables = {"DSIEM_OPS_PORT": "0", **environment, MARK_VARIABLE: self._mark}
        folders = ("--config-dir", str(folder / "conf"), "--log-dir", str(self.logs))
        with self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                [
                    *COMMAND,
                    "--json",
                    "serve",
                    *folders,
                    f"--workers={workers}",
                    *(() if port is None else (f"--port={port}",)),
                    *options,
                ],
                cwd=folder,
                env=own_environment() | variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        started_services.append(self)
        self.port = 0
        self.workers: list[int] = []
        self.router = 0
        if ready:
            try:
                self._become_ready(workers)
            except BaseException:
                self.kill_all()
                raise

    def _become_ready(self, workers: int) -> None:
        self.port = int(self.wait_for_log("serving")["events"].split(":")[2].split("/")[0])
        *self.workers, self.router = self.children()
        assert len(self.workers) == workers

    # Its log.

    def log(self) -> list[Json]:
        """All complete lines of its log so far."""
        content = self._stderr.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        return [msgspec.json.decode(line) for line in complete.splitlines()]

    def logged(self, message: str, **fields: Any) -> list[Json]:
        """The log lines whose message begins with `message`, and that have these fields."""
        return [
            line
            for line in self.log()
            if line["message"].startswith(message) and line.items() >= fields.items()
        ]

    def wait_for_log(
        self, message: str, times: int = 1, seconds: float = DEADLINE, **fields: Any
    ) -> Json:
        """Wait until there are `times` of these log lines (see logged); returns the last."""

        def found() -> list[Json]:
            lines = self.logged(message, **fields)
            assert len(lines) >= times or self.process.poll() is None, self.text()
            return lines if len(lines) >= times else []

        return wait_until(found, f"{message!r} in the log", seconds)[-1]

    def text(self) -> str:
        """Its whole log as text."""
        return self._stderr.read_text("utf-8", "replace")

    # Events and signals.

    def post(self, events: Sequence[Json | bytes]) -> PostAnswer:
        """Post events, one a line."""
        return self.post_body(b"\n".join(map(_bytes, events)))

    def post_body(self, body: bytes) -> PostAnswer:
        """Post a body as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            return _exchange(connection, body)
        finally:
            connection.close()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        os.kill(self.process.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> ServiceExit:
        """Stop it with a signal to the supervisor, and wait for its end."""
        since = time.monotonic()
        self.send_signal(number)
        return self.wait_for_exit(since)

    def wait_for_exit(self, since: float) -> ServiceExit:
        """Wait for its end, and check that it logged no traceback.

        The seconds are counted from `since`, a reading of time.monotonic.
        """
        code = self.process.wait(DEADLINE)
        seconds = time.monotonic() - since
        assert "Traceback" not in self.text(), self.text()
        lines = self.logged("ledger")
        counts = {k: v for k, v in lines[-1].items() if k not in LOG_KEYS} if lines else {}
        return ServiceExit(code, seconds, Ledger(counts))

    # Its output files.

    def event_ids(self) -> list[str]:
        """The event ids of all alarm event lines, in the order of the file."""
        return [line["event_id"] for line in self._lines(ALARM_EVENTS)]

    def alarms(self) -> list[Json]:
        """All alarm lines."""
        return self._lines(ALARMS)

    def _lines(self, name: str) -> list[Json]:
        """The lines of an output file; of a file that is being written to, the complete ones."""
        return read_lines(self.logs / name, growing=self.process.poll() is None)

    def lines(self) -> int:
        """The number of alarm event lines so far."""
        return (self.logs / ALARM_EVENTS).read_bytes().count(b"\n")

    def wait_for_lines(self, number: int) -> None:
        """Wait until there are `number` alarm event lines or more."""
        wait_until(lambda: self.lines() >= number, f"{number} alarm event lines")

    # Its processes.

    def pids(self) -> list[int]:
        """All of its living processes, in the order of their start."""
        return [one.pid for one in self._processes()]

    def children(self) -> list[int]:
        """Its living workers and router, in the order of their start."""
        return [one.pid for one in self._processes() if one.name.startswith(_CHILDREN)]

    def named_children(self) -> dict[str, int]:
        """The same by name: worker-N, and router."""
        return {one.name: one.pid for one in self._processes() if one.name.startswith(_CHILDREN)}

    def loaders(self) -> list[int]:
        """Its living processes that load a configuration."""
        return [one.pid for one in self._processes() if one.name.startswith("config-loader")]

    def _processes(self) -> list["_Process"]:
        session, mark = self.process.pid, f"{MARK_VARIABLE}={self._mark}".encode()
        return [
            one
            for one in _living_processes()
            if one.session == session and mark in one.environment()
        ]

    def wait_for_children(self, number: int, gone: int) -> int:
        """Wait until `number` children live and the process `gone` does not; returns the newest."""

        def complete() -> list[int]:
            children = self.children()
            return children if len(children) == number and gone not in children else []

        return wait_until(complete, f"{number} child processes, without {gone}")[-1]

    def wait_until_gone(self, seconds: float = 1.0) -> None:
        """Wait until none of its processes is left."""
        wait_until(lambda: not self.pids(), "the end of all its processes", seconds)

    def kill_all(self) -> None:
        """Kill all processes that are left of it, and wait for their end."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        self.wait_until_gone(DEADLINE)


@contextmanager
def serving(folder: Path, *options: str, **more: Any) -> Iterator[Service]:
    """A running service; all of its processes are killed afterwards."""
    service = Service(folder, *NEVER_EXPIRE, *options, **more)
    try:
        yield service
    finally:
        service.kill_all()


class Batch(NamedTuple):
    """One answered request of a Load: time of the answer, ids of its events, and the answer."""

    answered: float
    event_ids: list[str]
    answer: PostAnswer


class Load:
    """A thread that posts batches until it is stopped, and records the answer to each.

    It posts some thousands of events per second, to leave CPU time for the service.
    """

    def __init__(self, service: Service, events: NumberedEvents) -> None:
        self._service = service
        self._events = events
        self._batch = 50
        self._pause = 0.005
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self.answered: list[Batch] = []
        self.unanswered: list[str] = []
        """The ids of events of requests that failed on the way."""
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Stop posting; returns after the answer to the request in progress."""
        self._stop.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    @property
    def received(self) -> int:
        """The number of events received, by the answers."""
        return sum(batch.answer.received for batch in self.answered)

    @property
    def accepted(self) -> list[str]:
        """The ids of all events of batches that were accepted completely."""
        whole = (batch for batch in self.answered if batch.answer.status == 200)
        return [event_id for batch in whole for event_id in batch.event_ids]

    def wait_for(self, number: int) -> None:
        """Wait until `number` more batches have been accepted completely."""
        target = len(self.accepted) + number * self._batch
        wait_until(lambda: len(self.accepted) >= target, f"{number} more batches accepted")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._post_all(
                    http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=DEADLINE)
                )
        except BaseException as error:
            self._failure = error

    def _post_all(self, connection: http.client.HTTPConnection) -> None:
        """Post over one connection until it breaks."""
        try:
            while not self._stop.is_set():
                self._post(connection)
        except (OSError, http.client.HTTPException):
            self._stop.wait(0.02)  # not to try again without a pause
        finally:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection) -> None:
        connection.connect()  # before events are made, which would else be unanswered
        while not self._stop.is_set():
            events = self._events.take(self._batch)
            ids = [str(made["event_id"]) for made in events]
            try:
                answer = _exchange(connection, b"\n".join(map(_bytes, events)))
            except (OSError, http.client.HTTPException):
                self.unanswered += ids
                raise
            self.answered.append(Batch(time.monotonic(), ids, answer))
            self._stop.wait(self._pause)


def read_lines(path: Path, *, growing: bool = False) -> list[Json]:
    """The lines of an output file, all of which must be complete.

    While it is `growing`, a read may come in the middle of a write: the kernel writes page by page.
    """
    content = path.read_bytes()
    if growing:
        content = content[: content.rfind(b"\n") + 1]
    assert content == b"" or content.endswith(b"\n"), content[-200:]
    return [msgspec.json.decode(line) for line in content.splitlines()]


def _bytes(event: Json | bytes) -> bytes:
    return event if isinstance(event, bytes) else json.dumps(event).encode()


def _exchange(connection: http.client.HTTPConnection, body: bytes) -> PostAnswer:
    connection.request("POST", "/events", body)
    response = connection.getresponse()
    return PostAnswer(response.status, json.loads(response.read()))


class _Process(NamedTuple):
    """A process; the first field is for the order."""

    started: int
    pid: int
    session: int
    name: str

    def environment(self) -> list[bytes]:
        """Its variables; none when it has ended, or may not be read."""
        try:
            return Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return []


def _living_processes() -> list[_Process]:
    """All processes that have not ended, in the order of their start."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - while tests wait, this is most of their work
        if entry.isdigit():
            with suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                name, _, rest = file.read().partition(b"(")[2].rpartition(b") ")
                state, _, _, session, *more = rest.split()
                if state not in (b"Z", b"X"):
                    started = int(more[15])
                    found.append(_Process(started, int(entry), int(session), name.decode()))
    return sorted(found)
