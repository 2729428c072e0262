"""A service that is fed over HTTP, for bench_pipeline.py."""

import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from benchmarks.support import synthetic
from benchmarks.support.service_process import DEADLINE, FinalLedger, ServiceProcess


class HttpService(ServiceProcess):
    """A running service with two workers and an HTTP source."""

    def __init__(self, configs: Path, *options: str) -> None:
        super().__init__(
            f"--config-dir={configs}", "--workers=2", "--port=0", "--max-queue=1000000", *options
        )
        url = urlsplit(str(self.serving["events"]))
        self._connection = HTTPConnection(url.hostname or "", url.port, timeout=DEADLINE)
        self._posted = 0
        self._matching = 0

    def post(self, body: bytes, count: int, matching: int) -> None:
        """Post a body with `count` events; RuntimeError if not all of them are accepted."""
        self._connection.request("POST", "/events", body)
        answer = self._connection.getresponse().read()
        if msgspec.json.decode(answer).get("accepted") != count:
            raise RuntimeError(f"events were not accepted: {answer[:500]!r}")
        self._posted += count
        self._matching += matching

    def post_all(self, raws: Sequence[bytes], body_events: int = 8000) -> float:
        """Post events as fast as they are accepted; return the seconds until the last line."""
        bodies = [raws[at : at + body_events] for at in range(0, len(raws), body_events)]
        prepared = [
            (b"\n".join(body), len(body), len(synthetic.matching_events(body))) for body in bodies
        ]
        started = time.monotonic()
        for body in prepared:
            self.post(*body)
        self.wait_for_lines()
        return time.monotonic() - started

    def wait_for_lines(self) -> None:
        """Wait until the file has a line for each matching event posted so far."""
        deadline = time.monotonic() + DEADLINE
        while (lines := self.lines.count()) < self._matching:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{lines} lines for {self._matching} events")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop the service; RuntimeError if the ledger or the files lack an event or a line."""
        ledger = self.terminate()
        expected = FinalLedger(
            0, True, self._posted, self._matching, self._matching, self._matching, {}
        )
        if msgspec.structs.replace(ledger, losses={}) != expected:
            raise RuntimeError(f"events are missing: {ledger}, expected {expected}")

    def kill(self) -> None:
        """Kill the service."""
        super().kill()
        if hasattr(self, "_connection"):
            self._connection.close()
