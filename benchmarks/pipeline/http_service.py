"""A service that is fed over HTTP, for bench_pipeline.py."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchmarks.support import workload
from benchmarks.support.service_process import (
    DEADLINE,
    LedgerReport,
    ServiceProcess,
)


class LiveMaker(workload.EventMaker):
    """Makes events of now, which a service that looks at its clock does not find expired."""

    def event(self, sid: int, pair: workload.Pair, **more: Any) -> bytes:
        """One event, as EventMaker makes it."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
        return super().event(sid, pair, timestamp=now, **more)


def matched(raws: Sequence[bytes]) -> list[bytes]:
    """Those events that directives are for; each of them becomes one alarm event."""
    return [raw for raw in raws if b'"plugin_sid":20' in raw]


class HttpService(ServiceProcess):
    """A running service with two workers; its ledger and its files are checked at its end."""

    def __init__(self, configs: Path) -> None:
        super().__init__(
            f"--config-dir={configs}", "--workers=2", "--port=0", "--max-queue=1000000"
        )
        place = urlsplit(str(self.serving["events"]))
        self._connection = HTTPConnection(place.hostname or "", place.port, timeout=DEADLINE)
        self._posted = 0
        self._matched = 0

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
        deadline = time.monotonic() + DEADLINE
        while (lines := self.lines.count()) < self._matched:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{lines} lines for {self._matched} events")
            time.sleep(0.005)

    def stop(self) -> None:
        """End it, and check that every event is accounted for, and every line there and whole."""
        found = self.end()
        right = LedgerReport(0, True, self._posted, self._matched, self._matched, self._matched, {})
        if msgspec.structs.replace(found, gone={}) != right:
            raise RuntimeError(f"not all is accounted for: {found}, should be {right}")

    def kill(self) -> None:
        """End it, however it goes."""
        super().kill()
        if hasattr(self, "_connection"):
            self._connection.close()
