"""A service in processes of its own, observed from outside: its log, its files, and /proc."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import msgspec
from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("supervisor", "router", "worker", "helper")
"""Of processes; `helper`: what Python starts for spawning."""
DEADLINE = 120.0
Seconds = Mapping[str, float]
"""CPU time by kind of process."""


class LedgerReport(Struct, frozen=True):
    """What a service says at its end: `lines` those of alarm events, `different` their event ids.

    `gone`: counts of events that it knows to be invalid, dropped, lost or cut; 0 are left out.
    """

    code: int
    adds_up: bool
    received: int
    consumed: int
    lines: int
    different: int
    gone: Mapping[str, float]


class ServiceProcess:
    """A running service; its ledger and its files are read at its end."""

    def __init__(self, *options: str) -> None:
        """Start it with these options, and wait until it serves."""
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)  # children end later
        self.folder = Path(self._folder.name)
        logs = self.folder / "logs"
        self.alarm_events = logs / "siem_alarm_events.json"
        self._alarms, self._log = logs / "siem_alarms.json", self.folder / "serve.log"
        command = (sys.executable, str(ROOT / "cli.py"), "--json", "serve", f"--log-dir={logs}")
        started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                (*command, *options), stderr=log, cwd=self.folder, env=_own_environment()
            )
        try:
            self.serving = self.said("serving")
            self.start_seconds = time.monotonic() - started
            self._kind_of = _kinds(self._process.pid)
            self.lines = LineCounter(self.alarm_events)
        except BaseException:
            self.kill()
            raise

    def said(self, message: str) -> dict[str, Any]:
        """Wait for a line of its log; returns it."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            gone = self._process.poll() is not None
            for line in self._log.read_bytes().splitlines():
                with suppress(msgspec.DecodeError):  # not whole yet
                    said: dict[str, Any] = msgspec.json.decode(line)
                    if said["message"] == message:
                        return said
            if gone:
                break
            time.sleep(0.01)
        raise RuntimeError(f"the service did not say {message!r}: {self._log.read_text()}")

    def cpu(self) -> Seconds:
        """What its processes have used so far."""
        taken = dict.fromkeys(KINDS, 0.0)
        for pid, kind in self._kind_of.items():
            taken[kind] += cpu_seconds(pid)
        return taken

    def busiest(self, kind: str) -> int:
        """The process id of the one of this kind that has used most CPU time so far."""
        return max((pid for pid in self._kind_of if self._kind_of[pid] == kind), key=cpu_seconds)

    def pss(self) -> int:
        """Bytes of memory of all its processes, shared pages counted once."""
        return sum(_pss(pid) for pid in self._kind_of)

    def end(self) -> LedgerReport:
        """End it in good order; every line has to be whole."""
        self._process.terminate()
        ledger = self.said("ledger")
        code = self._process.wait(DEADLINE)
        for line in _whole_lines(self._alarms):
            msgspec.json.decode(line)
        ids = [event_id(line) for line in _whole_lines(self.alarm_events)]
        return LedgerReport(
            code,
            ledger["adds_up"],
            ledger.get("events_received", 0),
            ledger.get("deliveries_consumed", 0),
            len(ids),
            len(set(ids)),
            {name: value for name, value in ledger.items() if name.startswith(_GONE)},
        )

    def kill(self) -> None:
        """End it, however it goes: its children notice by themselves. Its files go with it."""
        self._process.kill()
        self._process.wait()
        if hasattr(self, "lines"):
            self.lines.close()
        self._folder.cleanup()


_GONE = (
    *("events_invalid", "events_dropped", "feed_lost", "feed_cut"),
    *("deliveries_invalid", "deliveries_dropped", "deliveries_lost", "deliveries_unmatched"),
)
"""How the names of counts begin of what did not get where it should."""


class _Id(Struct):
    event_id: str


_ids = msgspec.json.Decoder(_Id)


def event_id(raw: bytes) -> str:
    """Of an event, or of a line of alarm events."""
    return _ids.decode(raw).event_id


class FileTail(Thread):
    """Follows the alarm events file, and notes when each line is there to be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, float] = {}
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""
        self._ended = Event()

    def run(self) -> None:
        """Look twice a millisecond; once more at the end."""
        while not self._ended.wait(0.0005):
            self._look()
        self._look()

    def _look(self) -> None:
        read, now = self._file.read(), time.monotonic()
        whole, _, self._rest = (self._rest + read).rpartition(b"\n")
        for line in whole.splitlines():
            self.seen[event_id(line)] = now

    def __enter__(self) -> "FileTail":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()
        self._file.close()


class LineCounter:
    """Counts the lines of a growing file, reading what is new."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._count = 0

    def count(self) -> int:
        """How many there are by now."""
        self._count += self._file.read().count(b"\n")
        return self._count

    def close(self) -> None:
        """Look no more."""
        self._file.close()


def _whole_lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise RuntimeError(f"{path.name} ends in half a line")
    return data.splitlines()


def _own_environment() -> dict[str, str]:
    """Without settings of whoever runs this."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DSIEM_")}


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat that follow the name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _kinds(supervisor: int) -> dict[int, str]:
    """The processes of a service; its workers start before its router."""
    kinds, others = {supervisor: "supervisor"}, []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pid, fields = int(path.name), _stat(int(path.name))
            if int(fields[1]) != supervisor:
                continue
            if b"resource_tracker" in (path / "cmdline").read_bytes():
                kinds[pid] = "helper"
            else:
                others.append((int(fields[19]), pid))
    *workers, router = [pid for _, pid in sorted(others)]
    return kinds | dict.fromkeys(workers, "worker") | {router: "router"}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process: of its threads in nanoseconds, or in ticks of 10 ms."""
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if threads:
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / 100


def machine_seconds() -> float:
    """CPU time that all processes of the machine have used, on all cores; stolen time too."""
    user, nice, system, _, _, *interrupts = map(int, _machine()[1:9])
    return (user + nice + system + sum(interrupts)) / 100


def _machine() -> list[str]:
    return Path("/proc/stat").read_text().partition("\n")[0].split()


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Pss in /proc/{pid}/smaps_rollup")
