"""A running backend, observed from outside: Linux's /proc, and its files."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from benchmarks.peers.backend import Backend
from benchmarks.support.service_process import LineCounter, cpu_seconds, process_kinds, pss_bytes

_STOP_TIMEOUT = 20.0
_IDLE_SECONDS = 1.0
"""Seconds without a new line and with little CPU after which a backend counts as idle."""
_IDLE_CORES = 0.1
"""Cores in use below which a backend may be idle."""
_POLL_SECONDS, _CPU_INTERVAL = 0.005, 0.2
"""Seconds between two readings of the alarm events, and of CPU times."""
_CHUNK = 1 << 24
_ERROR_LINE = re.compile(r"^panic|^thread '|fatal|error|cannot", re.IGNORECASE)
"""Matches a log line that says more than the lines after it, for example those of a stack trace."""


class BackendStartError(Exception):
    """A backend cannot be started; the text has the end of its log."""


class RunningBackend:
    """A backend in a folder of its own; `started`: when, on the monotonic clock."""

    def __init__(self, backend: Backend, environment: Mapping[str, str]) -> None:
        """Start the backend with these settings."""
        self._temporary = TemporaryDirectory(ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        for name in ("configs", "logs", "web"):
            (self._folder / name).mkdir()
        self._log = self._folder / "log"
        self.alarm_events = OutputFile(self._folder, "siem_alarm_events.json")
        self.alarms = OutputFile(self._folder, "siem_alarms.json")
        self._command = backend.command(self._folder)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except OSError as error:
            self._temporary.cleanup()
            raise BackendStartError(f"it cannot be executed: {error.strerror}") from error
        except BaseException:
            self.__exit__()
            raise

    def start(self) -> None:
        """Start it, or start it again after `kill`, in the same folder."""
        self._cpu_by_pid: dict[int, float] = {}
        self.started = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of its main process, which leads its session."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its main process is still running."""
        return self._process is not None and self._process.poll() is None

    def check_alive(self) -> None:
        """Raise BackendStartError if it has ended."""
        if not self.alive:
            code = self._process.returncode if self._process else None
            raise BackendStartError(f"it ended with {code}, its log with: {self.last_error()}")

    def last_error(self) -> str:
        """The last log line about an error, or else the last log line."""
        text = self._log.read_text("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if _ERROR_LINE.search(line)]
        return [*(lines or ["nothing"])[-1:], *errors][-1][:300]

    def cpu(self) -> float:
        """CPU seconds that its processes have used so far, including those that have ended."""
        for pid in _session_pids(self.pid):
            with suppress(OSError):
                self._cpu_by_pid[pid] = cpu_seconds(pid)
        return sum(self._cpu_by_pid.values())

    def memory(self) -> float:
        """Memory of all its processes in MB (PSS: shared pages count once)."""
        return sum(map(_memory, _session_pids(self.pid))) / 1e6

    def wait_for_lines(self, number: int, seconds: float) -> float | None:
        """Wait until there are `number` lines of alarm events, or the backend is idle, or ended.

        Returns the time of the last new line, on the monotonic clock, if there was any.
        TimeoutError if it is still at work after `seconds`.
        """
        count, last_line = self.alarm_events.count_lines(), None
        now = cpu_read_at = busy_at = time.monotonic()
        deadline, cpu = now + seconds, self.cpu()
        while count < number and self.alive and now - busy_at < _IDLE_SECONDS:
            if now > deadline:
                raise TimeoutError(f"still at work after {seconds:g} s")
            time.sleep(_POLL_SECONDS)
            now = time.monotonic()
            if (new := self.alarm_events.count_lines()) > count:
                count, last_line, busy_at = new, now, now
            if now - cpu_read_at >= _CPU_INTERVAL:
                used = self.cpu()
                if used - cpu > _IDLE_CORES * (now - cpu_read_at):
                    busy_at = now
                cpu, cpu_read_at = used, now
        return last_line

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def kill_worker(self) -> None:
        """SIGKILL to one of its workers: only for this project, which has some."""
        kinds = process_kinds(self.pid)
        os.kill(next(pid for pid, kind in kinds.items() if kind == "worker"), signal.SIGKILL)

    def terminate(self) -> float | None:
        """SIGTERM; the seconds until it ended, None if it did not within 20 s."""
        assert self._process is not None
        since = time.monotonic()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_TIMEOUT)
            return time.monotonic() - since
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Kill it, and delete its files."""
        self.kill()
        self.alarm_events.close()
        self.alarms.close()
        self._temporary.cleanup()


class OutputFile:
    """A growing file with this name in any subfolder, which need not exist yet."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self.path: Path | None = None
        self._counter: LineCounter | None = None

    def count_lines(self) -> int:
        """The number of lines so far."""
        if self._counter is None:
            self.path = next(self._folder.rglob(self._name), None)
            self._counter = None if self.path is None else LineCounter(self.path)
        return 0 if self._counter is None else self._counter.count()

    @property
    def size(self) -> int:
        """Its bytes so far."""
        self.count_lines()
        return 0 if self.path is None else self.path.stat().st_size

    def read(self) -> bytes:
        """The whole content so far."""
        return b"".join(self._chunks(0))

    def event_ids(self, prefix: str, since: int = 0) -> list[bytes]:
        """The event ids that begin with `prefix`, in the lines after the first `since` bytes."""
        pattern = re.compile(rb'"event_id":\s*"(%b[^"]*)"' % prefix.encode())
        return [found for chunk in self._chunks(since) for found in pattern.findall(chunk)]

    def _chunks(self, since: int) -> Iterator[bytes]:
        """Parts of the content, each of whole lines."""
        self.count_lines()
        if self.path is None:
            return
        with self.path.open("rb") as file:
            file.seek(since)
            while chunk := file.read(_CHUNK):
                yield chunk + file.readline()

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
