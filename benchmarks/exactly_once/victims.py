"""Kills processes of a service at random times, and reads its ledger all the time."""

import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

from shards.supervisor.restart_policy import MAX_DEATHS, WINDOW_SECONDS
from tests.support.serving import Service, wait_until

_MARGIN_SECONDS = 3.0
_POLL_SECONDS = 0.2


class WorkerKiller(threading.Thread):
    """SIGKILL to a worker at random times, never so often that the service would give up.

    `killed_at`: times of the kills, in seconds since the start.
    """

    def __init__(self, service: Service, kills: int, seconds: float, seed: int) -> None:
        """`kills` within so many seconds."""
        super().__init__(daemon=True)
        self._service = service
        self._random = Random(seed)
        self._times = sorted(self._random.uniform(1.0, seconds) for _ in range(kills))
        self._workers = list(service.workers)
        self._deaths: list[list[float]] = [[] for _ in self._workers]
        self._ended = threading.Event()
        self.killed_at: list[float] = []
        self.fault = ""

    def run(self) -> None:
        """Kill as planned; a kill that is not possible yet is made as soon as it is."""
        begun = time.monotonic()
        with suppress(StopIteration):
            for due in self._times:
                self._wait(begun + due - time.monotonic())
                while not (victims := self._victims()):
                    self._wait(0.1)
                try:
                    self._kill(self._random.choice(victims))
                except AssertionError as error:
                    self.fault = str(error)
                    return
                self.killed_at.append(time.monotonic() - begun)

    def finish(self) -> None:
        """Kill no more."""
        self._ended.set()
        self.join()

    def _wait(self, seconds: float) -> None:
        if self._ended.wait(max(0.0, seconds)):
            raise StopIteration

    def _victims(self) -> Sequence[int]:
        """The workers whose death does not end the service."""
        since = time.monotonic() - WINDOW_SECONDS - _MARGIN_SECONDS
        recent = [sum(death > since for death in deaths) for deaths in self._deaths]
        return [worker for worker, number in enumerate(recent) if number < MAX_DEATHS - 1]

    def _kill(self, worker: int) -> None:
        """Kill a worker, and wait until there is a process in its place."""
        known = {*self._workers, self._service.router}
        os.kill(self._workers[worker], signal.SIGKILL)
        self._deaths[worker].append(time.monotonic())

        def new() -> list[int]:
            return [pid for pid in self._service.children() if pid not in known]

        self._workers[worker] = wait_until(new, "a restart of the worker")[-1]


class LedgerReader(threading.Thread):
    """Reads /status all the time. `polls`: how often; `wrong`: ledgers that did not add up."""

    def __init__(self, ops_port: int) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{ops_port}/status"
        self._ended = threading.Event()
        self.polls = 0
        self.failed = 0
        """Number of polls without an answer."""
        self.wrong: list[Any] = []
        self.latest: dict[str, Any] = {}

    def run(self) -> None:
        """Read until `finish`."""
        while not self._ended.wait(_POLL_SECONDS):
            self.read()

    def read(self) -> None:
        """Read once."""
        try:
            with urllib.request.urlopen(self._url, timeout=10) as answer:
                self.latest = json.loads(answer.read())
        except (OSError, ValueError):
            self.failed += 1
            return
        self.polls += 1
        if not self.latest["ledger"]["adds_up"]:
            self.wrong.append(self.latest["ledger"])

    def finish(self) -> None:
        """Read no more."""
        self._ended.set()
        self.join()

    @property
    def quiet(self) -> bool:
        """Whether all workers are ready and nothing was in flight at the latest poll."""
        if not self.latest:
            return False
        up = all(shard["up"] and shard["ready"] for shard in self.latest["shards"])
        return up and self.latest["ledger"]["deliveries"]["in_flight"] == 0
