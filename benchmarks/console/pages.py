"""A process of open pages of the console: `pages.py PORT COUNT`, until its standard input ends.

Each page asks for what the list of alarms asks for, as often, over connections that it keeps. The
first one has an alarm open beside the list.
"""

import sys
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

LIST_SECONDS, TIMELINE_SECONDS, DETAIL_SECONDS = 0.4, 5.0, 2.0
"""Shortest intervals of views/live_alarms.js, views/alarm_timeline.js and views/alarm_detail.js."""
ROWS = 100
_TIMEOUT = 30.0


class Page:
    """A page at the list of alarms: a stream of events, and requests when there are new alarms."""

    def __init__(self, port: int, *, has_detail: bool) -> None:
        self._port = port
        self._requests = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
        self._has_detail = has_detail
        self._changed = threading.Event()
        for target in (self._read_stream, self._follow):
            threading.Thread(target=target, daemon=True).start()

    def _read_stream(self) -> None:
        stream = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        stream.request("GET", "/api/v1/events")
        reply = stream.getresponse()
        while line := reply.readline():
            if line == b"event: alarms\n":
                self._changed.set()

    def _follow(self) -> None:
        page = self._get(f"alarms?limit={ROWS}")
        sequence, opened = page["sequence"], page["alarms"][0]["id"]
        timeline_at = detail_at = 0.0
        while self._changed.wait(_TIMEOUT):
            started = time.monotonic()
            self._changed.clear()
            sequence = self._get(f"alarms?limit={ROWS}&after={sequence}")["sequence"]
            if started >= timeline_at:
                timeline_at = started + TIMELINE_SECONDS
                since = int(time.time()) // 60 * 60 - 86_400
                self._get(f"alarm-timeline?since={since}&until={since + 86_460}&parts=96")
            if self._has_detail and started >= detail_at:
                detail_at = started + DETAIL_SECONDS
                self._get(f"alarms/{opened}")
                self._get(f"alarms/{opened}/events?limit=50")
            time.sleep(max(0.0, started + LIST_SECONDS - time.monotonic()))

    def _get(self, path: str) -> dict[str, Any]:
        self._requests.request("GET", f"/api/v1/{path}")
        reply = self._requests.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{path}: status {reply.status}: {body[:200]!r}")
        found: dict[str, Any] = msgspec.json.decode(body)
        return found


def main(port: int, count: int) -> None:
    """Open pages until the standard input ends."""
    with suppress(KeyboardInterrupt):
        for number in range(count):
            Page(port, has_detail=number == 0)
        print("open", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
