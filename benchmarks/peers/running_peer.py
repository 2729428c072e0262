"""A running peer, observed from outside (Linux: /proc and its files), until it is done."""

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

from benchmarks.peers.peer import Peer, environment
from benchmarks.peers.workloads import SUBJECT
from benchmarks.support.service_process import LineCounter, cpu_seconds
from tests.support.frontend import Frontend
from tests.support.nats_server import NatsServer

_START = 120.0
"""Seconds until it has to be subscribed."""
_STOP = 20.0
_QUIET = 1.5
"""Seconds without a line and nearly without CPU after which a contender is taken to be done."""
_IDLE = 0.1
"""Cores that are nearly nothing."""
_LOOK, _CPU, _MEMORY = 0.005, 0.1, 0.5
"""Seconds between two looks at the files, at CPU times, and at memory."""
_TELLING = re.compile(r"^panic|^thread '|fatal|error|cannot", re.IGNORECASE)
"""What a line of a log has that says more than the lines after it, such as those of a stack."""


class PeerError(Exception):
    """It cannot be started; the text says what its log said last."""


class PeerObservation(Struct, frozen=True):
    """What was seen of it from `start` on, on the monotonic clock, until `end`.

    `last_line`: when the alarm events grew last. `last_busy`: when it was last seen at work.
    `cpu`: seconds of all its processes until then. `quiet`: whether it was done at the end.
    """

    start: float
    end: float
    last_line: float | None
    last_busy: float
    cpu: float
    quiet: bool


class RunningPeer:
    """A contender with unbounded queues in a folder of its own, subscribed to the events."""

    def __init__(
        self, contender: Peer, workers: int, frontend: Frontend, server: NatsServer
    ) -> None:
        """Start it, and wait until it is subscribed; `PeerError` when that does not come to be."""
        self._temporary = TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        for name in ("configs", "logs", "web"):
            (self.folder / name).mkdir()
        self._log = self.folder / "log"
        self.lines = _Lines(self.folder, "siem_alarm_events.json")
        self.alarms = _Lines(self.folder, "siem_alarms.json")
        self.peak = 0
        """Bytes of memory (PSS) of all its processes, at most so far."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                contender.command(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment(workers, frontend, server),
                start_new_session=True,
            )
        self._used: dict[int, float] = {}
        try:
            self._await_subscription(server)
        except BaseException:
            self.end()
            raise

    def _await_subscription(self, server: NatsServer) -> None:
        deadline = time.monotonic() + _START
        while not server.subscribers(SUBJECT):
            if not self.alive:
                code = self._process.returncode
                raise PeerError(f"it ended with {code}, its log with: {self.last_words()}")
            if time.monotonic() > deadline:
                raise PeerError(f"not subscribed within {_START:g} s: {self.last_words()}")
            time.sleep(0.05)

    @property
    def alive(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The last line of its log, or the last one that tells what went wrong."""
        text = self._log.read_text("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        telling = [line for line in lines if _TELLING.search(line)]
        return [*(lines or ["nothing"])[-1:], *telling][-1][:300]

    def cpu(self) -> float:
        """Seconds that its processes have used so far."""
        for pid in _session(self._process.pid):
            with suppress(OSError):
                self._used[pid] = cpu_seconds(pid)
        return sum(self._used.values())

    def watch(
        self, start: float, cpu: float, limit: float, enough: int | None = None
    ) -> PeerObservation:
        """Watch it until it is quiet, has `enough` lines, ends, or so many seconds are over.

        `start`: since when, on the monotonic clock, and `cpu` what it had used by then.
        """
        known, last_line = self.lines.count(), None
        busy, used, taken = start, cpu, 0.0
        looked = measured = start
        while True:
            at = time.monotonic()
            if (lines := self.lines.count()) > known:
                known, last_line = lines, at
            if at - looked >= _CPU:
                total = self.cpu()
                if total - taken > _IDLE * (at - looked):
                    busy, used = at, total
                taken, looked = total, at
            if at - measured >= _MEMORY:
                self.measure()
                measured = at
            quiet = at - max(busy, last_line or start) > _QUIET
            done = quiet or (enough is not None and known >= enough)
            if done or at - start > limit or not self.alive:
                break
            time.sleep(_LOOK)
        self.measure()
        return PeerObservation(start, at, last_line, busy, used - cpu, done)

    def measure(self) -> None:
        """See how much memory it has now."""
        self.peak = max(self.peak, sum(map(_memory, _session(self._process.pid))))

    def ids(self, mark: bytes) -> list[bytes]:
        """The ids in the lines of alarm events that begin like this."""
        return re.findall(rb'"event_id":\s*"(%b[^"]*)"' % mark, self.lines.read())

    def end(self) -> None:
        """End it: in good order, or else at once. Its files go with it."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.lines.close()
        self.alarms.close()
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


class _Lines:
    """Of a growing file, which may come to be later, in any folder below."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._path: Path | None = None
        self._newlines: LineCounter | None = None

    def count(self) -> int:
        """How many there are by now."""
        if self._newlines is None:
            self._path = next(self._folder.rglob(self._name), None)
            self._newlines = None if self._path is None else LineCounter(self._path)
        return 0 if self._newlines is None else self._newlines.count()

    def read(self) -> bytes:
        """All that is there."""
        self.count()
        return b"" if self._path is None else self._path.read_bytes()

    def close(self) -> None:
        """Look no more."""
        if self._newlines is not None:
            self._newlines.close()


def _session(leader: int) -> Iterator[int]:
    """The processes that it has started, and itself."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                yield int(path.name)


def _memory(pid: int) -> int:
    with suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0
