"""A running backend, observed from outside (Linux: /proc and its files) until it is idle."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from msgspec import Struct

from benchmarks.peers.backend import Backend, environment
from benchmarks.peers.workloads import SUBJECT
from benchmarks.support.service_process import LineCounter, cpu_seconds, pss_bytes
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer

_START_TIMEOUT = 120.0
"""Seconds until the backend must have subscribed to the events."""
_STOP_TIMEOUT = 20.0
_IDLE_SECONDS = 1.5
"""Seconds without a new line and with little CPU after which a backend counts as idle."""
_IDLE_CORES = 0.1
"""Cores in use below which a backend may be idle."""
_POLL_SECONDS, _CPU_INTERVAL, _MEMORY_INTERVAL = 0.005, 0.1, 0.5
"""Seconds between two readings of the files, of CPU times, and of memory."""
_ERROR_LINE = re.compile(r"^panic|^thread '|fatal|error|cannot", re.IGNORECASE)
"""Matches a log line that says more than the lines after it, for example those of a stack trace."""


class BackendStartError(Exception):
    """A backend cannot be started; the text has the end of its log."""


class Observation(Struct, frozen=True):
    """What was observed from `start` until `end`, times on the monotonic clock.

    `last_line`: the last time the alarm events file grew, if it did. `last_busy`: the last time the
    backend used CPU. `cpu`: CPU seconds of all its processes until then. `done`: whether the
    backend was idle at the end, or had written the expected lines.
    """

    start: float
    end: float
    last_line: float | None
    last_busy: float
    cpu: float
    done: bool


class RunningBackend:
    """A backend with unbounded queues in a folder of its own, subscribed to the events.

    `peak_memory`: the highest memory of all its processes so far, in bytes (PSS).
    """

    def __init__(
        self, backend: Backend, workers: int, frontend: Frontend, server: NatsServer
    ) -> None:
        """Start the backend, and wait until it has subscribed; BackendStartError if it does not."""
        self._temporary = TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        for name in ("configs", "logs", "web"):
            (self.folder / name).mkdir()
        self._log = self.folder / "log"
        self.alarm_events = _OutputFile(self.folder, "siem_alarm_events.json")
        self.alarms = _OutputFile(self.folder, "siem_alarms.json")
        self.peak_memory = 0
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                backend.command(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment(workers, frontend, server),
                start_new_session=True,
            )
        self._cpu_by_pid: dict[int, float] = {}
        try:
            self._wait_for_subscription(server)
        except BaseException:
            self.stop()
            raise

    def _wait_for_subscription(self, server: NatsServer) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not server.subscribers(SUBJECT):
            if not self.alive:
                code = self._process.returncode
                raise BackendStartError(f"it ended with {code}, its log with: {self.last_error()}")
            if time.monotonic() > deadline:
                error = self.last_error()
                raise BackendStartError(f"not subscribed within {_START_TIMEOUT:g} s: {error}")
            time.sleep(0.05)

    @property
    def alive(self) -> bool:
        """Whether its main process is still running."""
        return self._process.poll() is None

    def last_error(self) -> str:
        """The last log line about an error, or else the last log line."""
        text = self._log.read_text("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if _ERROR_LINE.search(line)]
        return [*(lines or ["nothing"])[-1:], *errors][-1][:300]

    def cpu(self) -> float:
        """CPU seconds that its processes have used so far, including those that have ended."""
        for pid in _session_pids(self._process.pid):
            with suppress(OSError):
                self._cpu_by_pid[pid] = cpu_seconds(pid)
        return sum(self._cpu_by_pid.values())

    def observe(
        self, start: float, cpu: float, limit: float, expected_lines: int | None = None
    ) -> Observation:
        """Observe it until it is idle, has the expected lines, ends, or `limit` seconds are over.

        `start`: the beginning, on the monotonic clock; `cpu`: CPU seconds used by then.
        """
        lines, last_line = self.alarm_events.count_lines(), None
        busy_at, busy_cpu, last_cpu = start, cpu, 0.0
        cpu_read_at = memory_read_at = start
        while True:
            now = time.monotonic()
            if (count := self.alarm_events.count_lines()) > lines:
                lines, last_line = count, now
            if now - cpu_read_at >= _CPU_INTERVAL:
                total = self.cpu()
                if total - last_cpu > _IDLE_CORES * (now - cpu_read_at):
                    busy_at, busy_cpu = now, total
                last_cpu, cpu_read_at = total, now
            if now - memory_read_at >= _MEMORY_INTERVAL:
                self.measure_memory()
                memory_read_at = now
            idle = now - max(busy_at, last_line or start) > _IDLE_SECONDS
            done = idle or (expected_lines is not None and lines >= expected_lines)
            if done or now - start > limit or not self.alive:
                break
            time.sleep(_POLL_SECONDS)
        self.measure_memory()
        return Observation(start, now, last_line, busy_at, busy_cpu - cpu, done)

    def measure_memory(self) -> None:
        """Update `peak_memory`."""
        total = sum(map(_memory, _session_pids(self._process.pid)))
        self.peak_memory = max(self.peak_memory, total)

    def event_ids(self, prefix: bytes) -> list[bytes]:
        """The event ids in the lines of alarm events that begin with `prefix`."""
        pattern = rb'"event_id":\s*"(%b[^"]*)"' % prefix
        return re.findall(pattern, self.alarm_events.read())

    def stop(self) -> None:
        """Stop it with SIGTERM, after `_STOP_TIMEOUT` with SIGKILL, and delete its files."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_TIMEOUT)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.alarm_events.close()
        self.alarms.close()
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class _OutputFile:
    """A growing file with this name in any subfolder, which need not exist yet."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._path: Path | None = None
        self._counter: LineCounter | None = None

    def count_lines(self) -> int:
        """The number of lines so far."""
        if self._counter is None:
            self._path = next(self._folder.rglob(self._name), None)
            self._counter = None if self._path is None else LineCounter(self._path)
        return 0 if self._counter is None else self._counter.count()

    def read(self) -> bytes:
        """The whole content so far."""
        self.count_lines()
        return b"" if self._path is None else self._path.read_bytes()

    def close(self) -> None:
        """Close the file."""
        if self._counter is not None:
            self._counter.close()


def _session_pids(leader: int) -> Iterator[int]:
    """Process ids of the session of this leader, which its children inherit."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                yield int(path.name)


def _memory(pid: int) -> int:
    """Memory of a process in bytes (PSS); 0 when it has ended."""
    with suppress(OSError):
        return pss_bytes(pid)
    return 0
