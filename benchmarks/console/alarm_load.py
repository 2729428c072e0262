"""A load with fifty new alarms in a second, however many other events there are."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from benchmarks.pipeline.http_service import HttpService
from benchmarks.support import synthetic

RATE = 50_000
ALARMS = 50
BODY_EVENTS = RATE // ALARMS
"""Events of a posted body, so that each has an alarm at this rate."""
KEPT_ALARMS = 100_000
"""Alarms that a history keeps: after half an hour at this rate it is full."""
_POOL = 20
"""Bodies that are posted in turns."""
_DIRECTIVES = 100
_FILL_ALARMS = 450
"""Alarms, of two lines each, that are made at a time: the history takes 4,000 lines in a second."""
_FILL_SECONDS = 0.26
_DEADLINE = 60.0


class Run(Struct, frozen=True):
    """Events per second, and CPU of the service: microseconds per event, seconds in a second."""

    rate: float
    micros: float
    busy: float


class AlarmLoad:
    """Posts events to a service. Each alarm has a source of its own, and two events and lines."""

    def __init__(self, posted: HttpService) -> None:
        self._posted = posted
        self._generator = synthetic.CurrentEventGenerator(31)
        self._bodies = [
            b"\n".join(self._generator.stream(BODY_EVENTS - 2, 0.0)) for _ in range(_POOL)
        ]
        self._alarms = 0

    def fill(self, alarms: int) -> None:
        """Make alarms, no faster than the history takes them."""
        for _ in range(-(-alarms // _FILL_ALARMS)):
            started = time.monotonic()
            events = [event for _ in range(_FILL_ALARMS) for event in self._alarm()]
            self._posted.post(b"\n".join(events), len(events), len(events))
            self._posted.wait_for_lines()
            time.sleep(max(0.0, started + _FILL_SECONDS - time.monotonic()))

    def run(self, seconds: float, *, paced: bool) -> Run:
        """Post events at RATE, or as fast as they are taken, with ALARMS alarms in a second."""
        before = sum(self._posted.cpu_by_kind().values())
        started = time.monotonic()
        bodies = events = alarms = 0
        while (now := time.monotonic() - started) < seconds:
            if paced:
                time.sleep(max(0.0, bodies / ALARMS - now))
            matching = self._alarm() if int(now * ALARMS) >= alarms else ()
            body = b"\n".join((self._bodies[bodies % _POOL], *matching))
            count = BODY_EVENTS - 2 + len(matching)
            self._posted.post(body, count, len(matching))
            bodies, events, alarms = bodies + 1, events + count, alarms + bool(matching)
        self._posted.wait_for_lines()
        took = time.monotonic() - started
        busy = sum(self._posted.cpu_by_kind().values()) - before
        return Run(events / took, 1e6 * busy / events, busy / took)

    def _alarm(self) -> tuple[bytes, bytes]:
        """The event that makes an alarm, and the one that finishes it."""
        self._alarms += 1
        pair = synthetic.address_pairs(1, self._alarms)[0]
        sid = synthetic.FIRST_SID + self._alarms % _DIRECTIVES
        return self._generator.event(sid, pair), self._generator.event(sid, pair)


@contextmanager
def service(port: int, *, console: bool) -> Iterator[HttpService]:
    """A service whose ops server is at this port; at the end all events are accounted for."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "assets_bench.json").write_bytes(synthetic.assets())
        (Path(folder) / "directives_bench.json").write_bytes(_directives())
        options = (f"--ops-port={port}", f"--console={'true' if console else 'false'}")
        found = HttpService(Path(folder), *options)
        try:
            _wait_for(port)
            yield found
            found.stop()
        finally:
            found.kill()


def _directives() -> bytes:
    """Directives whose first event makes an alarm, and whose second one finishes it."""
    document = msgspec.json.decode(synthetic.directives(_DIRECTIVES, (1, 1)))
    for number, directive in enumerate(document["directives"]):
        directive["priority"] = 1 + number % 5
        directive["rules"][0]["reliability"] = 10
    return msgspec.json.encode(document)


def _wait_for(port: int) -> None:
    """Wait until the ops server listens."""
    until = time.monotonic() + _DEADLINE
    while time.monotonic() < until:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=_DEADLINE)
            connection.request("GET", "/readyz")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the ops server does not listen")


@contextmanager
def open_pages(port: int, count: int) -> Iterator[None]:
    """Pages of a process of their own, while the context is active."""
    if not count:
        yield
        return
    program = Path(__file__).with_name("pages.py")
    command = (sys.executable, str(program), str(port), str(count))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()
        if process.wait(_DEADLINE):
            raise RuntimeError("the pages have failed")
