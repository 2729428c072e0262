"""The cost of the console, with and without open pages: `python benchmarks/bench_console.py`.

The same events, of which one in a thousand makes an alarm, are posted to a service without the
console, and to one with it, without pages and with three open ones. The runs take turns, so that
all meet the same machine.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pipeline.http_service import HttpService
from benchmarks.support import report, synthetic
from benchmarks.support.measure import Figure

PAGES = 3
SHARE = 0.001
_TIMEOUT = 30.0


class Page:
    """What an open page does: it reads the stream of events, and asks for what has changed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_closed = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._follow_alarms, self._look_at_backlogs)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop, without waiting for the end of the stream."""
        self._is_closed.set()

    def _follow_alarms(self) -> None:
        stream = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        stream.request("GET", "/api/v1/events")
        reply, after = stream.getresponse(), 0
        while not self._is_closed.is_set() and (line := reply.readline()):
            if line == b"event: alarms\n":
                page = self._get(f"/api/v1/alarms?after={after}")
                after = page["sequence"]

    def _look_at_backlogs(self) -> None:
        while not self._is_closed.wait(5.0):
            self._get("/api/v1/backlogs")
            self._get("/api/v1/alarm-timeline")

    def _get(self, path: str) -> dict[str, int]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        connection.request("GET", path)
        found: dict[str, int] = json.loads(connection.getresponse().read())
        connection.close()
        return found


@contextmanager
def service(port: int, *, console: bool) -> Iterator[HttpService]:
    """A service whose ops server is at this port; at the end all events are accounted for."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "assets_bench.json").write_bytes(synthetic.assets())
        (Path(folder) / "directives_bench.json").write_bytes(synthetic.directives(100))
        options = (f"--ops-port={port}", f"--console={'true' if console else 'false'}")
        found = HttpService(Path(folder), *options)
        try:
            _wait_for(port)
            yield found
            found.stop()
        finally:
            found.kill()


def _wait_for(port: int) -> None:
    """Wait until the ops server listens."""
    until = time.monotonic() + _TIMEOUT
    while time.monotonic() < until:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
            connection.request("GET", "/readyz")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the ops server does not listen")


class Run(NamedTuple):
    """Events per second of a flood, and CPU seconds of the supervisor in a second of it."""

    rate: float
    supervisor: float


def flood(posted: HttpService, raws: Sequence[bytes], pages: int = 0, port: int = 0) -> Run:
    """Post events as fast as they are taken, while so many pages are open."""
    opened = [Page(port) for _ in range(pages)]
    before = posted.cpu_by_kind()
    seconds = posted.post_all(raws)
    supervisor = posted.cpu_by_kind()["supervisor"] - before["supervisor"]
    for page in opened:
        page.close()
    return Run(len(raws) / seconds, supervisor / seconds)


def console(quick: bool) -> list[Figure]:
    """By how much the throughput falls, and what the supervisor needs."""
    count, repeats = (100_000, 5) if quick else (200_000, 9)
    runs: dict[str, list[Run]] = {"off": [], "closed": [], "opened": []}
    with (
        service(19_091, console=False) as off,
        service(19_092, console=True) as closed,
        service(19_093, console=True) as opened,
    ):
        turns = {"off": (off, 0), "closed": (closed, 0), "opened": (opened, PAGES)}
        for number in range(repeats + 1):
            events = list(synthetic.CurrentEventGenerator(31 + number).stream(count, SHARE))
            for name in sorted(turns, key=lambda name: hash((name, number))):
                posted, pages = turns[name]
                run = flood(posted, events, pages, 19_093)
                if number:  # the first runs are to warm up
                    runs[name].append(run)

    def fall(name: str) -> float:
        pairs = zip(runs[name], runs["off"], strict=True)
        return 100 * (1 - median(run.rate / base.rate for run, base in pairs))

    def supervisor(name: str) -> float:
        return 100 * median(run.supervisor for run in runs[name])

    several = f"{PAGES} pages open"
    return [
        Figure("console", "events/s without the console", _rate(runs["off"]), "events/s"),
        Figure("console", "lower with the console, and no page open", fall("closed"), "%", 3.0),
        Figure("console", f"lower with {several}", fall("opened"), "%", 3.0),
        Figure("console", "CPU of the supervisor, without the console", supervisor("off"), "%"),
        Figure("console", "  with the console, and no page open", supervisor("closed"), "%"),
        Figure("console", f"  with {several}", supervisor("opened"), "%"),
    ]


def _rate(runs: Sequence[Run]) -> float:
    return median(run.rate for run in runs)


if __name__ == "__main__":
    sys.exit(report.run(__doc__, "the console", "bench_console", {"console": console}))
