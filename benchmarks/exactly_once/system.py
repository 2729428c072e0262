"""A service with its NATS server and its log folder, all of which can be killed or hindered."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path

from benchmarks.exactly_once.plans import in_version
from benchmarks.exactly_once.small_disk import SmallDisk
from shards.alarm_files import ALARM_EVENTS, ALARMS
from shards.supervisor.restart_policy import MAX_DEATHS, WINDOW_SECONDS
from tests.support.cluster import CONNECTED, NODE
from tests.support.frontend import Frontend
from tests.support.jetstream import on_disk
from tests.support.nats_server import NatsServer, free_port
from tests.support.reload_service import OpsClient, documents, write_files
from tests.support.replaying import Json
from tests.support.serving import (
    DEADLINE,
    Ledger,
    Service,
    ServiceExit,
    wait_until,
)

STREAM = "chaos"
SUPERVISOR, NATS = "supervisor", "nats"
_MARGIN_SECONDS = 3.0
_START_SECONDS = 120.0
_START_RETRY_SECONDS = 1.0


class System:
    """Everything that runs, within `with`; the service is started again when it was killed.

    `failed_starts`: how often a start ended before it served, as it may on a full disk.
    """

    def __init__(self, folder: Path, source: str, workers: int, options: Sequence[str]) -> None:
        """`options` of serve, beside those of the source."""
        self.source = source
        self.ops_port, self.port = free_port(), free_port()
        self.nats: NatsServer | None = None
        self.disk: SmallDisk | None = None
        self.logs = folder / "logs"
        self.lives: list[Service] = []
        self.failed_starts = 0
        self._folder = folder
        self._workers = workers
        self._options = [f"--ops-port={self.ops_port}", *options]
        self._killed: list[Service] = []
        self._children: dict[str, int] = {}
        """Pids by name."""
        self._deaths: dict[str, list[float]] = defaultdict(list)
        """Times of the kills of each child in this life of the supervisor."""
        self._rotated = 0
        self._frontend: Frontend | None = None
        self._directives: list[Json] = []
        self._version = 0
        self._stack = ExitStack()

    def use_small_disk(self, size: int) -> None:
        """Put the log folder on a disk of so many bytes. MountError if that is not possible."""
        self.disk = self._stack.enter_context(SmallDisk(self.logs, size))

    def start(self, directives: list[Json]) -> None:
        """Start all of it with these directives; returns when events can be sent."""
        self._stack.callback(self._kill_service)
        self._directives = directives
        if self.source in ("http", "spool"):
            self._put_directives()
            self._options += ["--spool"] if self.source == "spool" else []
            self._start_service()
            return
        store = on_disk(self._folder / "store")
        self.nats = NatsServer(self._folder / "nats", *([store] if self.source == "stream" else []))
        self._stack.enter_context(self.nats)
        self._frontend = self._stack.enter_context(Frontend())
        self._put_directives()
        (self._folder / "conf").mkdir(exist_ok=True)
        self._options += ["--mode=cluster-backend", f"--node={NODE}"]
        self._options += [f"--frontend={self._frontend.url}", f"--msq={self.nats.url}"]
        if self.source == "stream":
            self._options += [f"--stream={STREAM}", "--stream-create"]
        self._start_service()
        self.service.wait_for_log(CONNECTED)

    @property
    def service(self) -> Service:
        """The service that runs, or was the last to run."""
        return self.lives[-1]

    @property
    def has_ended(self) -> bool:
        """Whether the service has ended by itself."""
        service = self.service
        return service.process.poll() is not None and service not in self._killed

    @property
    def children(self) -> list[str]:
        """The names of the router and the workers."""
        return list(self._children)

    def pid(self, name: str) -> int | None:
        """Of a process; None if it does not run at the moment."""
        if name == SUPERVISOR:
            return self.service.process.pid
        if name == NATS:
            with suppress(AssertionError):
                return self.nats.pid if self.nats else None
            return None
        return self._children.get(name)

    def may_die(self, child: str) -> bool:
        """Whether the service survives another death of this child."""
        since = time.monotonic() - WINDOW_SECONDS - _MARGIN_SECONDS
        return sum(death > since for death in self._deaths[child]) < MAX_DEATHS - 1

    def kill_child(self, name: str) -> None:
        """Kill a child, and wait until there is a process in its place."""
        wait_until(self._all_live, "the restart of a child that has ended by itself")
        pid = self._children[name]
        os.kill(pid, signal.SIGKILL)
        self._deaths[name].append(time.monotonic())
        wait_until(lambda: self._all_live(but=pid), f"a restart of {name}")

    def _all_live(self, but: int = 0) -> bool:
        """Whether all children live, and `but` does not; finds those that were started again."""
        living = self.service.children()
        if but in living:
            return False
        ended = [name for name, pid in self._children.items() if pid not in living]
        new = [pid for pid in living if pid not in self._children.values()]
        self._children.update(zip(ended, new, strict=False))
        return len(ended) <= len(new)

    def kill_supervisor(self, *, with_children: bool = False, workers: int = 0) -> None:
        """Kill the supervisor, wait until its children have ended too, and start it again.

        `workers`: their number from now on, if it changes.
        """
        self._workers = workers or self._workers
        service = self.service
        self._killed.append(service)
        if with_children:
            service.kill_all()
        else:
            service.send_signal(signal.SIGKILL)
            service.process.wait(DEADLINE)
        service.wait_until_gone(DEADLINE)
        self._deaths.clear()
        self._start_service()

    def restart_nats(self, down_seconds: float) -> None:
        """Kill the NATS server, and start it again on the same port and store."""
        if self.nats:
            self.nats.kill()
            time.sleep(down_seconds)
            self.nats.start()

    def rotate(self) -> None:
        """Rename the alarm files, to .1, then .2 and so on, as far as they are there."""
        self._rotated += 1
        for name in (ALARMS, ALARM_EVENTS):
            with suppress(FileNotFoundError):
                (self.logs / name).rename(self.logs / f"{name}.{self._rotated}")

    def reload(self) -> None:
        """Change half of the directives in their names, and ask for a reload.

        It may fail since a process dies meanwhile: the next one, or the next start, makes it good.
        """
        self._version += 1
        self._put_directives()
        with suppress(OSError, HTTPException, ValueError):
            OpsClient(self.ops_port).reload()

    def _put_directives(self) -> None:
        files = documents(in_version(self._directives, self._version))
        if self._frontend is None:
            write_files(self._folder / "conf", files)
        else:
            self._frontend.files = {
                name.replace("directives_", f"directives_{NODE}_"): content
                for name, content in files.items()
            }

    def stop(self) -> ServiceExit:
        """Stop the service, unless it has ended by itself; says how it has ended."""
        service = self.service
        if service.process.poll() is None:
            service.send_signal(signal.SIGTERM)
        with suppress(AssertionError):  # a traceback: it is looked for in all lives
            return service.wait_for_exit(time.monotonic())
        return ServiceExit(-1, 0.0, Ledger())

    def _start_service(self) -> None:
        """Start the service, again and again if that fails, as systemd would."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                service = Service(
                    self._folder, *self._options, workers=self._workers, port=self.port
                )
                break
            except AssertionError:
                if not self.lives or time.monotonic() > deadline:
                    raise
                self.failed_starts += 1
                time.sleep(_START_RETRY_SECONDS)
        self.lives.append(service)
        workers = {f"worker-{number}": pid for number, pid in enumerate(service.workers)}
        self._children = workers | {"router": service.router}

    def _kill_service(self) -> None:
        if self.lives:
            self.service.kill_all()

    def __enter__(self) -> "System":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
