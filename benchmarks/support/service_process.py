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
"""Kinds of process; the helper is the fork server."""
DEADLINE = 120.0
"""Seconds to wait for the service."""
Seconds = Mapping[str, float]
"""CPU time by kind of process."""


class FinalLedger(Struct, frozen=True):
    """The ledger and the files of a service after it has stopped.

    `lines`: lines of alarm events; `distinct`: distinct event ids in them. `losses`: counts above 0
    of events that the service reports as invalid, dropped, lost or cut.
    """

    exit_code: int
    adds_up: bool
    received: int
    consumed: int
    lines: int
    distinct: int
    losses: Mapping[str, float]


class ServiceProcess:
    """A running service. `serving`: its log line of that name."""

    def __init__(self, *options: str) -> None:
        """Start the service with these options, and wait until it serves."""
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)  # children may still write
        self.folder = Path(self._folder.name)
        logs = self.folder / "logs"
        self.alarm_events = logs / "siem_alarm_events.json"
        self._alarms, self._log = logs / "siem_alarms.json", self.folder / "serve.log"
        command = (sys.executable, str(ROOT / "cli.py"), "--json", "serve", f"--log-dir={logs}")
        self.started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                (*command, *options), stderr=log, cwd=self.folder, env=_environment()
            )
        try:
            self.serving = self.wait_for_log("serving")
            self.start_seconds = time.monotonic() - self.started
            self._kind_by_pid = process_kinds(self._process.pid)
            self.lines = LineCounter(self.alarm_events)
        except BaseException:
            self.kill()
            raise

    def wait_for_log(self, message: str) -> dict[str, Any]:
        """Wait for a log line with this message, and return it.

        Raises RuntimeError when the service ends, or after `DEADLINE` seconds.
        """
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            for line in self._log.read_bytes().splitlines():
                with suppress(msgspec.DecodeError):  # an incomplete line
                    record: dict[str, Any] = msgspec.json.decode(line)
                    if record["message"] == message:
                        return record
            if ended:
                break
            time.sleep(0.01)
        raise RuntimeError(f"no log line {message!r} from the service: {self._log.read_text()}")

    def cpu_by_kind(self) -> Seconds:
        """CPU seconds used so far, by kind of process."""
        seconds = dict.fromkeys(KINDS, 0.0)
        for pid, kind in self._kind_by_pid.items():
            seconds[kind] += cpu_seconds(pid)
        return seconds

    def busiest(self, kind: str) -> int:
        """Process id of the process of this kind that has used the most CPU time."""
        return max(
            (pid for pid in self._kind_by_pid if self._kind_by_pid[pid] == kind), key=cpu_seconds
        )

    def pss(self) -> int:
        """Memory of all its processes in bytes (PSS: shared pages count once)."""
        return sum(self.pss_by_kind().values())

    def pss_by_kind(self) -> dict[str, int]:
        """Memory in bytes (PSS) by kind of process."""
        memory = dict.fromkeys(KINDS, 0)
        for pid, kind in self._kind_by_pid.items():
            memory[kind] += pss_bytes(pid)
        return memory

    def terminate(self) -> FinalLedger:
        """Stop the service with SIGTERM, and return its ledger.

        Raises RuntimeError when a file ends in an incomplete line.
        """
        self._process.terminate()
        ledger = self.wait_for_log("ledger")
        exit_code = self._process.wait(DEADLINE)
        for line in _complete_lines(self._alarms):
            msgspec.json.decode(line)
        ids = [event_id(line) for line in _complete_lines(self.alarm_events)]
        return FinalLedger(
            exit_code,
            ledger["adds_up"],
            ledger.get("events_received", 0),
            ledger.get("deliveries_consumed", 0),
            len(ids),
            len(set(ids)),
            {name: value for name, value in ledger.items() if name.startswith(_LOSS_COUNTS)},
        )

    def kill(self) -> None:
        """Kill the service and delete its files; its children end by themselves."""
        self._process.kill()
        self._process.wait()
        if hasattr(self, "lines"):
            self.lines.close()
        self._folder.cleanup()


_LOSS_COUNTS = (
    *("events_invalid", "events_dropped", "feed_lost", "feed_cut"),
    *("deliveries_invalid", "deliveries_dropped", "deliveries_lost", "deliveries_unmatched"),
)
"""Prefixes of the ledger's counts of events that were not processed."""


class _Id(Struct):
    event_id: str


_ids = msgspec.json.Decoder(_Id)


def event_id(raw: bytes) -> str:
    """The event id in an event or in a line of alarm events."""
    return _ids.decode(raw).event_id


class FileTail(Thread):
    """Follows the alarm events file.

    `seen_at`: by event id, the time on the monotonic clock at which the line could be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.seen_at: dict[str, float] = {}
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""
        self._ended = Event()

    def run(self) -> None:
        """Read new lines twice a millisecond, and once more at the end."""
        while not self._ended.wait(0.0005):
            self._read_new()
        self._read_new()

    def _read_new(self) -> None:
        data, now = self._file.read(), time.monotonic()
        complete, _, self._rest = (self._rest + data).rpartition(b"\n")
        for line in complete.splitlines():
            self.seen_at[event_id(line)] = now

    def __enter__(self) -> "FileTail":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()
        self._file.close()


class LineCounter:
    """Counts the lines of a growing file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._count = 0

    def count(self) -> int:
        """Read what was appended, and return the number of lines so far."""
        self._count += self._file.read().count(b"\n")
        return self._count

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _complete_lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise RuntimeError(f"{path.name} ends in an incomplete line")
    return data.splitlines()


def _environment() -> dict[str, str]:
    """The environment without settings of dsiem-shards."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DSIEM_")}


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the process name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def process_kinds(supervisor: int) -> dict[int, str]:
    """Kind of each process of a service, by process id, from the names that they have."""
    kinds = {supervisor: "supervisor"}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pid = int(path.name)
            if int(_stat(pid)[1]) == supervisor:
                name = (path / "comm").read_text().strip().partition("-")[0]
                kinds[pid] = "helper" if name == "fork" else name
    return kinds


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, by nanoseconds if the kernel has them, or 10 ms ticks."""
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if threads:
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / 100


def machine_cpu_seconds() -> float:
    """CPU time used on all cores of the machine since boot, including stolen time."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()
    user, nice, system, _, _, *interrupts = map(int, fields[1:9])
    return (user + nice + system + sum(interrupts)) / 100


def pss_bytes(pid: int) -> int:
    """Memory of a process (PSS) in bytes; OSError when the kernel does not give it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Pss in /proc/{pid}/smaps_rollup")
