"""Reads the ledger of a service all the time, over all its lives."""

import json
import threading
import time
import urllib.request
from typing import Any

_POLL_SECONDS = 0.2


class LedgerReader(threading.Thread):
    """Reads /status all the time. `polls`: how often; `wrong`: ledgers that did not add up."""

    def __init__(self, ops_port: int) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{ops_port}/status"
        self._ended = threading.Event()
        self._received = -1
        self._quiet_since: float | None = None
        self.polls = 0
        self.failed = 0
        """Number of polls without an answer."""
        self.wrong: list[Any] = []

    def run(self) -> None:
        """Read until `finish`."""
        while not self._ended.wait(_POLL_SECONDS):
            self.read()

    def read(self) -> None:
        """Read once."""
        try:
            with urllib.request.urlopen(self._url, timeout=10) as answer:
                status = json.loads(answer.read())
        except (OSError, ValueError):
            self.failed += 1
            self._quiet_since = None
            return
        self.polls += 1
        if not status["ledger"]["adds_up"]:
            self.wrong.append(status["ledger"])
        before, self._received = self._received, status["ledger"]["events"]["received"]
        if not _is_quiet(status) or self._received != before:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = time.monotonic()

    def finish(self) -> None:
        """Read no more."""
        self._ended.set()
        self.join()

    @property
    def quiet_seconds(self) -> float:
        """For how long all has been up, nothing was received, and nothing was in flight."""
        since = self._quiet_since
        return 0.0 if since is None else time.monotonic() - since


def _is_quiet(status: Any) -> bool:
    up = all(shard["up"] and shard["ready"] for shard in status["shards"])
    connected = status["router"]["ready"] and status["router"]["connected"]
    return up and connected and status["ledger"]["deliveries"]["in_flight"] == 0
