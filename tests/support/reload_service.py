"""A service of any source whose configuration is replaced, and its answers to reloads."""

import http.client
import json
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Thread, Timer
from typing import Any, NamedTuple

from benchmarks.exactly_once.senders import HttpSender, NatsSender, Sender
from tests.support.cluster import CONNECTED, NODE
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer, free_port
from tests.support.replaying import Json
from tests.support.serving import ASSETS, DEADLINE, NEVER_EXPIRE, Service, wait_until
from tests.support.stream_server import STREAM, jetstream_server

SOURCES = ("http", "spool", "nats", "stream")
OPTIONS = ("--checkpoint-interval=1",)
_RELOAD_SECONDS = 60.0
"""Longest time until a reload is answered."""


class ReloadAnswer(NamedTuple):
    """The answer to POST /reload: 200, 422 for a faulty configuration, 503 if it failed else."""

    status: int
    body: Json

    @property
    def generation(self) -> int:
        """The generation that runs."""
        return int(self.body["generation"])

    @property
    def result(self) -> str:
        """changed, unchanged or failed."""
        return str(self.body["result"])

    def ids(self, what: str) -> list[int]:
        """The ids of the directives that were added, changed or removed."""
        found: list[int] = self.body["directives"][what]["ids"]
        return found


class OpsClient:
    """Requests to the ops port of a service."""

    def __init__(self, port: int, token: str = "") -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_RELOAD_SECONDS)
        with closing(connection):
            connection.request(method, path, headers=self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def reload(self) -> ReloadAnswer:
        """Ask for a reload, and wait for its end."""
        status, body = self.request("POST", "/reload")
        return ReloadAnswer(status, json.loads(body))

    def status(self) -> Any:
        """The document of /status."""
        return json.loads(self.request("GET", "/status")[1])

    def counts(self, part: str) -> dict[str, int]:
        """The counts of a part of the ledger: events, deliveries, backlogs, …"""
        found: dict[str, int] = self.status()["ledger"][part]
        return found

    @property
    def generation(self) -> int:
        """The generation that runs, by /status."""
        return int(self.status()["config"]["generation"])

    def wait_for_generation(self, number: int) -> None:
        """Wait until this generation runs, or a later one."""
        wait_until(lambda: self.generation >= number, f"generation {number}")

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        lines = self.request("GET", "/metrics")[1].decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


class SimultaneousReload(Thread):
    """A request for a reload in a thread of its own; `answer` when it has ended."""

    def __init__(self, ops: OpsClient) -> None:
        super().__init__(daemon=True)
        self._ops = ops
        self._answer: ReloadAnswer | None = None
        self.start()

    def run(self) -> None:
        """Ask, and keep the answer."""
        self._answer = self._ops.reload()

    def answer(self) -> ReloadAnswer:
        """Wait for the answer."""
        self.join(_RELOAD_SECONDS)
        assert self._answer is not None, "no answer"
        return self._answer


def documents(
    directives: Iterable[Json], assets: Iterable[Json] = tuple(ASSETS)
) -> dict[str, bytes]:
    """The files of a configuration, by name."""
    return {
        "assets_a.json": json.dumps({"assets": list(assets)}).encode(),
        "directives_a.json": json.dumps({"directives": list(directives)}).encode(),
    }


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let a config folder hold these files, and no others."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        replace_file(folder / name, content)
    for path in folder.glob("*_*.json"):
        if path.name not in files:
            path.unlink()


class ReloadableService:
    """A service, within `with`; `source`: one of SOURCES."""

    def __init__(self, folder: Path, source: str, *options: str) -> None:
        """`options` of serve, beside those of the source."""
        self.source = source
        self.ops_port, self._port = free_port(), free_port()
        self.ops = OpsClient(self.ops_port)
        self.nats: NatsServer | None = None
        self.frontend: Frontend | None = None
        self.lives: list[Service] = []
        self._folder = folder
        self._stack = ExitStack()
        self._options = [f"--ops-port={self.ops_port}", *NEVER_EXPIRE, *OPTIONS, *options]
        if source in ("nats", "stream"):
            self._make_cluster()
        elif source == "spool":
            self._options.append("--spool")

    def _make_cluster(self) -> None:
        folder = self._folder / "nats"
        server = jetstream_server(folder) if self.source == "stream" else NatsServer(folder)
        self.nats = self._stack.enter_context(server)
        self.frontend = self._stack.enter_context(Frontend())
        self._options += ["--mode=cluster-backend", f"--node={NODE}"]
        self._options += [f"--frontend={self.frontend.url}", f"--msq={self.nats.url}"]
        self._options += ["--frontend-wait=2"]
        if self.source == "stream":
            self._options += [f"--stream={STREAM}", "--stream-create"]

    @property
    def node(self) -> str:
        """The name of the node, which is part of the ids of alarms."""
        return NODE if self.frontend else ""

    @property
    def service(self) -> Service:
        """The service that runs, or was the last to run."""
        return self.lives[-1]

    def put(self, files: Mapping[str, bytes]) -> None:
        """Let these be the files of the configuration, from the next reload or start on."""
        if self.frontend is None:
            write_files(self._folder / "conf", files)
        else:
            self.frontend.files = {
                name.replace("directives_", f"directives_{NODE}_"): content
                for name, content in files.items()
            }

    def put_directives(self, *directives: Json) -> None:
        """As `put`, with these directives and the usual assets."""
        self.put(documents(directives))

    def start(self, *, ready: bool = True) -> Service:
        """Start the service, anew if it has ended; if `ready`, wait until it serves."""
        if not self.lives:
            self._stack.callback(self._kill)
            (self._folder / "conf").mkdir(exist_ok=True)
        port = None if self.frontend else self._port
        service = Service(self._folder, *self._options, port=port, ready=ready)
        self.lives.append(service)
        if ready and self.frontend:
            service.wait_for_log(CONNECTED)
        return service

    def sender(self) -> Sender:
        """Sends events in order."""
        if self.nats is None:
            return HttpSender(self._port)
        return NatsSender(self.nats, to_stream=self.source == "stream")

    def send(self, *events: Json) -> None:
        """Send events, one after the other."""
        with closing(self.sender()) as sender:
            sender.send([json.dumps(one).encode() for one in events])

    def send_and_wait(self, *events: Json) -> None:
        """Send events, each of which causes a line, and wait for the lines."""
        before = self.service.lines()
        self.send(*events)
        self.service.wait_for_lines(before + len(events))

    def titles(self) -> list[str]:
        """The titles of all alarm lines."""
        return [alarm["title"] for alarm in self.service.alarms()]

    def begin_reload(self) -> tuple[int, SimultaneousReload]:
        """Ask for a reload; returns the process id of its loader, and the request."""
        request = SimultaneousReload(self.ops)
        return wait_until(self.service.loaders, "a loader")[0], request

    # Deaths.

    def pid(self, name: str) -> int | None:
        """The process id of the router or `worker-N`; None while it does not live."""
        return self.service.named_children().get(name)

    def all_live(self) -> bool:
        """Whether the router and both workers live."""
        return self.service.named_children().keys() >= set(CHILDREN)

    @contextmanager
    def killing(self, name: str, after: float) -> Iterator[None]:
        """Kill a child this many seconds after the beginning; at the end, all children live."""
        wait_until(self.all_live, "all children")
        pid = self.pid(name)
        assert pid
        timer = Timer(after, os.kill, (pid, signal.SIGKILL))
        timer.start()
        try:
            yield
        finally:
            timer.join()
            wait_until(lambda: pid not in self.service.children(), f"the end of {name}")
            wait_until(self.all_live, f"all children, after the death of {name}")

    def kill_all(self) -> None:
        """Kill all processes of the service at once."""
        pids = self.service.pids()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.service.process.wait(DEADLINE)
        self.service.wait_until_gone(DEADLINE)

    def _kill(self) -> None:
        for service in self.lives:
            service.kill_all()

    def __enter__(self) -> "ReloadableService":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


CHILDREN = ("worker-0", "worker-1", "router")


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
