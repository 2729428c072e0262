"""A client that checks whether a service that says it is ready takes events to their end."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress

from shards.alarm_files import ALARM_EVENTS
from tests.support.serving import NumberedEvents, Service

_INTERVAL = 0.1
_EVENTS_PER_POST = 2
STANDSTILL_SECONDS = 10.0
"""A service that is ready for that long, and writes no line of a worker, stands still."""


class Prober:
    """Posts events for each worker all the time, and reads the lines and /readyz.

    `standstills`: how often the service said ok for STANDSTILL_SECONDS while one of its workers
    wrote nothing. `accepted`: number of events that the service has accepted; `written`: number of
    their lines.
    """

    def __init__(self, service: Service, ops_port: int, directives: Sequence[int]) -> None:
        """`directives`: one of each worker."""
        self._service = service
        self._ops_port = ops_port
        self._events = [NumberedEvents(id_, name=f"w{n}-") for n, id_ in enumerate(directives)]
        self._moved_at = [time.monotonic()] * len(directives)
        self._read_at = time.monotonic()
        self._ready_since = time.monotonic()
        self._offset = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.standstills = 0
        self.accepted = 0
        self.written = 0

    @property
    def events_per_second(self) -> float:
        """The rate at which it posts events, at most."""
        return len(self._events) * _EVENTS_PER_POST / _INTERVAL

    def start(self) -> None:
        """Begin in a thread."""
        self._thread.start()

    def finish(self) -> None:
        """Post no more, and wait until the thread has ended."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL):
            self._post()
            self.read_lines()
            now = time.monotonic()
            if not self.is_ready():
                self._ready_since = now
            if now - max(self._ready_since, min(self._moved_at)) > STANDSTILL_SECONDS:
                self.standstills += 1
                self._ready_since = now

    def _post(self) -> None:
        batch = [one for events in self._events for one in events.take(_EVENTS_PER_POST)]
        with suppress(OSError, ValueError):
            self.accepted += self._service.post(batch).accepted

    def read_lines(self) -> None:
        """Read the new lines of the alarm events file."""
        path, read_at = self._service.logs / ALARM_EVENTS, time.monotonic()
        with path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read()
        self._offset += len(lines)
        self.written += lines.count(b"\n")
        for worker in range(len(self._events)):
            if f'"w{worker}-'.encode() in lines:
                # Written at any time since the lines before them were read.
                self._moved_at[worker] = self._read_at
        self._read_at = read_at

    def is_ready(self) -> bool:
        """Whether /readyz says ok."""
        url = f"http://127.0.0.1:{self._ops_port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def everything_moves(self, since: float) -> bool:
        """Whether the service is ready, and every worker has written lines since then."""
        return self.is_ready() and min(self._moved_at) > since
