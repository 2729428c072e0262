"""The service in processes of its own, as benchmarks see it: fed over HTTP, watched in /proc.

May live here: what can be known of it from outside (Linux). May not: what is measured of it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchmarks import workload

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("supervisor", "router", "worker", "helper")
"""Of processes; `helper`: what Python starts for spawning."""
_DEADLINE = 120.0
Seconds = Mapping[str, float]
"""CPU time by kind of process."""


class LiveMaker(workload.EventMaker):
    """Makes events of now, which a service that looks at its clock does not find expired."""

    def event(self, sid: int, pair: workload.Pair, **more: Any) -> bytes:
        """One event, as EventMaker makes it."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
        return super().event(sid, pair, timestamp=now, **more)


def matched(raws: Sequence[bytes]) -> list[bytes]:
    """Those events that directives are for; each of them becomes one alarm event."""
    return [raw for raw in raws if b'"plugin_sid":20' in raw]


class Served:
    """A running service with two workers; its ledger and its files are checked at its end."""

    def __init__(self, configs: Path) -> None:
        self._folder = TemporaryDirectory()
        logs = Path(self._folder.name)
        self.alarm_events = logs / "siem_alarm_events.json"
        self._alarms, self._log = logs / "siem_alarms.json", logs / "serve.log"
        options = (f"--config-dir={configs}", f"--log-dir={logs}", "--workers=2", "--port=0")
        command = (sys.executable, str(ROOT / "cli.py"), "--json", "serve", "--max-queue=1000000")
        started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen((*command, *options), stderr=log)
        place = urlsplit(str(self._said("serving")["events"]))
        self.start_seconds = time.monotonic() - started
        self._connection = HTTPConnection(place.hostname or "", place.port, timeout=_DEADLINE)
        self._kind_of = _kinds(self._process.pid)
        self._posted = 0
        self._matched = 0
        self._lines = _Newlines(self.alarm_events)

    def _said(self, message: str) -> dict[str, Any]:
        deadline = time.monotonic() + _DEADLINE
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

    def post(self, body: bytes, count: int, matching: int) -> None:
        """Post a body of so many events; all of them have to be accepted."""
        self._connection.request("POST", "/events", body)
        answer = self._connection.getresponse().read()
        if msgspec.json.decode(answer).get("accepted") != count:
            raise RuntimeError(f"events were not accepted: {answer[:500]!r}")
        self._posted += count
        self._matched += matching

    def feed(self, raws: Sequence[bytes], body_events: int = 8000) -> float:
        """Post all of these as fast as they are taken, until their lines are there: seconds."""
        bodies = [raws[at : at + body_events] for at in range(0, len(raws), body_events)]
        ready = [(b"\n".join(body), len(body), len(matched(body))) for body in bodies]
        started = time.monotonic()
        for body in ready:
            self.post(*body)
        self.await_lines()
        return time.monotonic() - started

    def await_lines(self) -> None:
        """Wait until there is a line for each matching event so far."""
        deadline = time.monotonic() + _DEADLINE
        while (lines := self._lines.count()) < self._matched:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{lines} lines for {self._matched} events")
            time.sleep(0.005)

    def cpu(self) -> Seconds:
        """What its processes have used so far."""
        taken = dict.fromkeys(KINDS, 0.0)
        for pid, kind in self._kind_of.items():
            taken[kind] += _cpu_seconds(pid)
        return taken

    def pss(self) -> int:
        """Bytes of memory of all its processes, shared pages counted once."""
        return sum(_pss(pid) for pid in self._kind_of)

    def stop(self) -> None:
        """End it, and check that every event is accounted for, and every line there and whole."""
        self._process.terminate()
        ledger = self._said("ledger")
        code = self._process.wait(_DEADLINE)
        lines = [msgspec.json.decode(line) for line in _whole_lines(self.alarm_events)]
        for line in _whole_lines(self._alarms):
            msgspec.json.decode(line)
        found = {
            "code": code,
            "adds up": ledger["adds_up"],
            "received": ledger.get("events_received", 0),
            "consumed": ledger.get("deliveries_consumed", 0),
            "lines": len({line["event_id"] for line in lines}),
        }
        right = [0, True, self._posted, self._matched, self._matched]
        if list(found.values()) != right or len(lines) != self._matched:
            raise RuntimeError(f"not all is accounted for: {found}, should be {right}")
        self._folder.cleanup()

    def kill(self) -> None:
        """End it, however it goes: its children notice by themselves."""
        self._process.kill()
        self._process.wait()


class _Id(msgspec.Struct):
    event_id: str


_ids = msgspec.json.Decoder(_Id)


def event_id(raw: bytes) -> str:
    """Of an event, or of a line of alarm events."""
    return _ids.decode(raw).event_id


class Tail(Thread):
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

    def __enter__(self) -> "Tail":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()


class _Newlines:
    """Counts the lines of a growing file, reading what is new."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._count = 0

    def count(self) -> int:
        """How many there are by now."""
        self._count += self._file.read().count(b"\n")
        return self._count


def _whole_lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise RuntimeError(f"{path.name} ends in half a line")
    return data.splitlines()


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


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process: of its threads in nanoseconds, or in ticks of 10 ms."""
    threads = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if threads:
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / 100


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Pss in /proc/{pid}/smaps_rollup")
